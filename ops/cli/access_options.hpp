#pragma once
// Who may use the front door: the flags that say it, the files of keys behind them, and the gate that they make.
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "ingest/access/gate.hpp"
#include "ingest/feedback/capability_routes.hpp"
#include "ingest/http/tls.hpp"
#include "ingest/privacy/redacting_log.hpp"
#include "ops/cli/options.hpp"

namespace assay::cli {

struct AccessOptions {
  std::string keys_file;             // empty: in the data directory
  std::string capability_keys_file;  // empty: in the data directory, made where it is missing
  bool require_keys = false, insecure = false;
  std::vector<std::string> anonymous;
  CapabilityConfig capability;
  std::vector<std::string> origins, proxies;
  std::string forwarded_header = "x-forwarded-for";
  std::string tls_certificate, tls_key;                 // both or none
  std::string key_rate, capability_rate, address_rate;  // "PER_SECOND[:BURST]"; empty: as fits
  bool made_capability_keys = true;                     // the file may be made
  RedactionRules redaction;
  std::vector<std::string> redact_in;  // empty: everywhere
  GateConfig gate;                     // after settle()

  void add_to(CLI::App& app);
  // What is wrong, in a sentence. `host`: what is listened on.
  std::optional<std::string> settle(const std::string& data, const std::string& host);

 private:
  std::optional<std::string> problem_with_files() const;
  std::optional<std::string> settle_redaction();
};

inline constexpr std::string_view api_keys_name = "api-keys.json";
inline constexpr std::string_view capability_keys_name = "capability-keys.json";

// "50:200", "0.5", "0".
std::optional<Rate> parse_rate(const std::string& text);
// "feedback", "read", …; the first that is none in `unknown`.
std::optional<ScopeSet> parse_scopes(const std::vector<std::string>& names, std::string& unknown);

// The gate with its files, which are read again when they change, and on reload().
class Access {
 public:
  Access(const AccessOptions& options, const Clock& clock, Metrics& metrics);
  ~Access();

  Gate& gate() { return gate_; }
  // Null: plain HTTP.
  TlsSlot* tls() { return options_.tls_certificate.empty() ? nullptr : &tls_; }
  // Reads the files; in words what is wrong. Then looks after them once a second.
  Result<void, std::string> open();
  // Any thread. Has them read again at once, and waits for no file. What can't be read is said in the log, and what was
  // read before stays.
  void reload();

 private:
  struct Watched {
    std::string path;
    std::string bytes;
    std::string problem = {};  // of the last look, as the log has it
  };
  void watch(std::stop_token stop);
  void look();
  std::string take_certificate();
  std::string take_keys();
  std::string take_capability_keys();

  const AccessOptions& options_;
  const Clock& clock_;
  Gate gate_;
  std::mutex mutex_;
  std::condition_variable_any asked_;
  bool is_asked_ = false;
  TlsSlot tls_;
  Watched keys_, capability_keys_, certificate_, tls_key_;
  Gauge* const certificate_end_;  // null: plain HTTP
  Counter& reloads_refused_;
  std::jthread watcher_;
};

}  // namespace assay::cli
