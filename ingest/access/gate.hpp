#pragma once
// Who may pass: asked by the session for each request when its head is there, before its admission and its body. Reads
// keys and capabilities, keeps the quotas, says what browsers of other origins may see.
//
// Thread-safe. Keys may be replaced at any time; what is in use stays valid as long as the gate.
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ingest/access/api_keys.hpp"
#include "ingest/access/capability.hpp"
#include "ingest/access/client_address.hpp"
#include "ingest/access/token_buckets.hpp"
#include "ingest/http/request_head.hpp"
#include "ingest/http/router.hpp"
#include "ops/runtime/metrics.hpp"

namespace assay {

struct GateConfig {
  ScopeSet anonymous = ScopeSet::all();  // what is let in without a key
  std::vector<std::string> origins;      // of other sites whose pages may use this door: exact, or one "*"
  TrustedProxies proxies;
  // For each caller of its kind, and for each address that comes without a key.
  Rate key_rate, capability_rate, address_rate;
  std::size_t bucket_slots = 64u << 10;  // of each kind
  // Nobody is asked for a key, for only this machine reaches the door: then browsers must call it by one of its names,
  // or by one of these.
  bool only_this_machine = false;
  std::vector<std::string> allowed_hosts;
  bool tls = false;  // pages are told to come back by TLS only
};

struct GateMetrics {
  explicit GateMetrics(Metrics& metrics);
  Counter &unauthenticated, &forbidden, &over_quota, &origin_refused;
};

class Gate {
 public:
  Gate(GateConfig config, const Clock& clock, Metrics& metrics);

  // For the session, which keeps one of these and gives it back each time.
  struct AccessDecision {
    std::optional<Response> refusal;
    std::string headers;  // lines for the answer, whatever it will be
    std::optional<Capability> capability;
    bool shows_capability = false;  // and no key, where a capability means nothing and anybody is let in
    std::string_view key_id;        // of the key that it has; as long as the gate
    Charge charge;                  // to the last quota that it was within; its RateLimit is not in `headers`
    bool joins_traces = false;      // it may add to traces that exist: it has a key, or anybody may write traces here
    std::chrono::milliseconds wait{0};  // over its quota: until there is room again

    void clear() {  // but for the memory of its headers
      refusal.reset();
      headers.clear();
      capability.reset();
      shows_capability = false;
      key_id = {};
      charge = {};
      joins_traces = false;
      wait = {};
    }
  };
  // `route`: null where there is none; `allow`: the methods of its path then.
  void decide(const Route* route, std::string_view allow, const RequestHead& head, const IpAddress& peer,
              AccessDecision& decision);

  // Any thread.
  void replace(ApiKeys keys);
  void replace(CapabilityKeys keys);
  // Whether there are keys: an Authorization is then for this door.
  bool has_keys() const {
    const auto* keys = keys_.load(std::memory_order_acquire);
    return keys && !keys->list().empty();
  }
  // Null until there are some.
  const CapabilityKeys* capability_keys() const { return capability_keys_.load(std::memory_order_acquire); }
  const GateConfig& config() const { return config_; }

 private:
  struct Credentials;
  struct Asked;
  void read_credentials(const RequestHead& head, bool takes_capability, Credentials& found) const;

  // The questions, in their order. True: that settles it; the decision has a refusal, or the request is let in.
  bool by_origin(const Asked& asked, AccessDecision& decision);
  bool by_host(const Asked& asked, AccessDecision& decision);
  bool by_key(const Asked& asked, AccessDecision& decision);
  bool by_address(const Asked& asked, AccessDecision& decision);
  bool by_capability(const Asked& asked, AccessDecision& decision);

  bool show_to(std::string_view origin, AccessDecision& decision) const;
  bool is_allowed_host(std::string_view host) const;
  bool within_quota(TokenBuckets& buckets, std::string_view caller, const Rate& rate, std::string_view policy,
                    const Asked& asked, AccessDecision& decision);
  void refuse(Counter& reason, unsigned status, std::string_view why, std::string_view field, const Asked& asked,
              AccessDecision& decision);

  const GateConfig config_;
  const Clock& clock_;
  GateMetrics metrics_;
  TokenBuckets key_buckets_, capability_buckets_, address_buckets_;
  std::atomic<const ApiKeys*> keys_{nullptr};
  std::atomic<const CapabilityKeys*> capability_keys_{nullptr};
  std::mutex mutex_;
  // Everything that was ever in use: replacing is rare, and no reader needs a lock.
  std::vector<std::unique_ptr<const ApiKeys>> all_keys_;
  std::vector<std::unique_ptr<const CapabilityKeys>> all_capability_keys_;
};

}  // namespace assay
