#include "ops/cli/access_options.hpp"

#include <algorithm>
#include <filesystem>

#include "ingest/access/secret_file.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"
#include "ops/runtime/thread.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

constexpr Rate public_capability_rate{1, 30};
constexpr Rate public_address_rate{50, 200};

bool is_loopback(const std::string& host) {
  boost::system::error_code ec;
  const auto address = boost::asio::ip::make_address(host, ec);
  return !ec && address.is_loopback();
}

std::optional<std::string> settle_rate(const std::string& flag, const std::string& text, Rate otherwise, Rate& into) {
  into = otherwise;
  if (text.empty()) return {};
  const auto rate = parse_rate(text);
  if (!rate) return flag + ": \"" + text + "\" is not REQUESTS_PER_SECOND[:BURST]";
  into = *rate;
  return {};
}

// "https://app.example", "http://localhost:3000"
bool is_origin(const std::string& text) {
  const auto scheme = text.find("://");
  if (scheme == text.npos || (!text.starts_with("http://") && !text.starts_with("https://"))) return false;
  const auto host = text.substr(scheme + 3);
  return !host.empty() && host.find_first_of("/*?#@ ") == host.npos;
}

// As browsers send it: without the port that its scheme has anyway.
void drop_default_port(std::string& origin) {
  const std::string_view port = origin.starts_with("https://") ? ":443" : ":80";
  if (origin.ends_with(port)) origin.resize(origin.size() - port.size());
}

// "app.example", "app.example:8443", "[::1]:8080"
bool is_host(const std::string& text) { return !text.empty() && text.find_first_of("/*?@ ") == text.npos; }

}  // namespace

std::optional<std::string> AccessOptions::problem_with_files() const {
  std::error_code unreadable;  // is said where the file is read
  if (std::filesystem::exists(keys_file, unreadable)) {
    const auto file = read_secret_file(keys_file);
    if (!file) return "--keys: " + file.error();
    if (const auto keys = ApiKeys::parse(file->bytes); !keys) return "--keys: " + keys_file + ": " + keys.error();
  }
  if (!made_capability_keys || std::filesystem::exists(capability_keys_file, unreadable)) {
    const auto file = read_secret_file(capability_keys_file);
    if (!file) return "--capability-keys: " + file.error();
    if (const auto keys = CapabilityKeys::parse(file->bytes); !keys)
      return "--capability-keys: " + capability_keys_file + ": " + keys.error();
  }
  if (tls_certificate.empty()) return {};
  if (const auto file = read_secret_file(tls_certificate); !file) return "--tls-cert: " + file.error();
  if (const auto file = read_secret_file(tls_key); !file) return "--tls-key: " + file.error();
  if (const auto context = make_tls_context(tls_certificate, tls_key); !context)
    return "--tls-cert, --tls-key: " + context.error();
  return {};
}

std::optional<Rate> parse_rate(const std::string& text) {
  const auto number = [](std::string_view digits, double& out) {
    out = parse_number<double>(digits).value_or(-1);
    return out >= 0 && out <= 1e9;
  };
  Rate rate;
  const auto colon = text.find(':');
  if (!number(std::string_view(text).substr(0, colon), rate.per_second)) return {};
  rate.burst = std::max(1.0, rate.per_second);
  if (colon != text.npos && (!number(std::string_view(text).substr(colon + 1), rate.burst) || rate.burst < 1))
    return {};
  return rate;
}

std::optional<ScopeSet> parse_scopes(const std::vector<std::string>& names, std::string& unknown) {
  ScopeSet scopes;
  for (const auto& name : names) {
    const auto scope = scope_named(name);
    if (!scope) {
      unknown = name;
      return {};
    }
    scopes.add(*scope);
  }
  return scopes;
}

void AccessOptions::add_to(CLI::App& app) {
  app.add_option("--keys", keys_file, "The file of API keys (default: api-keys.json in --data); see assay keys");
  app.add_flag("--require-keys", require_keys, "Ask for a key on loopback, too, as behind a proxy on this machine");
  app.add_flag("--insecure-no-auth", insecure, "Let everybody do everything, wherever the door listens");
  app.add_option("--anonymous", anonymous, "Scopes that need no key where keys are asked for: chat, feedback, …")
      ->delimiter(',');
  app.add_option("--capability-keys", capability_keys_file,
                 "The file of keys that sign feedback capabilities, the same for all front doors of a deployment "
                 "(default: capability-keys.json in --data, made where it is missing)");
  add_duration(app, "--capability-ttl", capability.ttl, "How long the feedback token of an answer is good",
               std::chrono::seconds(1));
  app.add_option(
         "--capability-names", capability.names,
         "Assessments that may be made with the feedback token of an answer; a * at the end stands for any rest")
      ->delimiter(',')
      ->capture_default_str();
  app.add_option("--cors-origin", origins, "Web sites whose pages may use this door, as https://app.example, or *")
      ->delimiter(',');
  app.add_option("--allowed-host", gate.allowed_hosts,
                 "Names, HOST or HOST:PORT, by which browsers may call a door that asks nobody for a key, beside this "
                 "machine's own")
      ->delimiter(',');
  app.add_option("--tls-cert", tls_certificate, "Speak TLS, with the certificate chain of this file (PEM)");
  app.add_option("--tls-key", tls_key, "Its key (PEM)");
  app.add_option("--trusted-proxy", proxies,
                 "Networks of proxies whose word on the client's address counts, as 10.0.0.0/8")
      ->delimiter(',');
  app.add_option("--forwarded-header", forwarded_header, "The header that they write it in")
      ->check(CLI::IsMember({"x-forwarded-for", "forwarded"}))
      ->capture_default_str();
  app.add_option("--redact", redaction.built_in,
                 "What is taken out of texts before the log, not of requests passed on to --mlflow-url: email, "
                 "phone, card")
      ->delimiter(',')
      ->check(CLI::IsMember({"email", "phone", "card"}));
  app.add_option("--redact-pattern", redaction.patterns,
                 "NAME=EXPRESSION (RE2): what it finds becomes [NAME]; repeatable");
  app.add_option("--redact-in", redact_in,
                 "Where: feedback (values, comments, metadata), traces (previews, spans); default: both")
      ->delimiter(',')
      ->check(CLI::IsMember({"feedback", "traces"}));
  app.add_option("--quota-key", key_rate, "Requests a second of one API key, RATE[:BURST]; 0: no limit (default)");
  app.add_option("--quota-capability", capability_rate,
                 "Of one answer's feedback tokens (default: 1:30 where keys are asked for)");
  app.add_option("--quota-address", address_rate,
                 "Of one address without a key (default: 50:200 where keys are asked for)");
}

std::optional<std::string> AccessOptions::settle_redaction() {
  if (redaction.empty()) {
    if (redact_in.empty()) return {};
    return "--redact-in: neither --redact nor --redact-pattern says what is taken out there";
  }
  const auto in = [this](const char* part) { return redact_in.empty() || std::ranges::count(redact_in, part) > 0; };
  redaction.feedback = in("feedback");
  redaction.traces = in("traces");
  if (const auto redactor = Redactor::make(redaction); !redactor) return "--redact-pattern: " + redactor.error();
  return {};
}

std::optional<std::string> AccessOptions::settle(const std::string& data, const std::string& host) {
  if (insecure && require_keys) return "--insecure-no-auth and --require-keys contradict each other";
  if (insecure && !anonymous.empty())
    return "--insecure-no-auth and --anonymous contradict each other: one lets everybody do everything";
  if (keys_file.empty()) keys_file = data + "/" + std::string(api_keys_name);
  made_capability_keys = capability_keys_file.empty();
  if (made_capability_keys) capability_keys_file = data + "/" + std::string(capability_keys_name);
  if (const auto problem = problem_with_names(capability.names)) return "--capability-names: " + *problem;
  if (capability.ttl < 1s || capability.ttl > capability.ttl_max) return "--capability-ttl: from 1s to 30d";
  for (auto& origin : origins) {
    if (origin != "*" && !is_origin(origin))
      return "--cors-origin: \"" + origin + "\" is not scheme://host[:port], or *";
    drop_default_port(origin);
  }
  gate.origins = origins;
  for (const auto& name : gate.allowed_hosts)
    if (!is_host(name)) return "--allowed-host: \"" + name + "\" is not HOST or HOST:PORT";
  if (tls_certificate.empty() != tls_key.empty()) return "--tls-cert and --tls-key belong together";
  gate.tls = !tls_certificate.empty();
  if (auto problem = problem_with_files()) return problem;
  if (auto problem = settle_redaction()) return problem;
  for (const auto& text : proxies) {
    const auto network = parse_network(text);
    if (!network) return "--trusted-proxy: \"" + text + "\" is not a network such as 10.0.0.0/8";
    gate.proxies.networks.push_back(*network);
  }
  if (forwarded_header == "forwarded" && proxies.empty())
    return "--forwarded-header: --trusted-proxy names no proxy whose word it would be";
  gate.proxies.header = forwarded_header == "forwarded" ? ForwardedHeader::forwarded : ForwardedHeader::x_forwarded_for;

  if (insecure && !is_loopback(host))
    spdlog::warn("event=door_open_to_everybody address={} why=--insecure-no-auth", host);
  const bool asked = !insecure && (require_keys || !proxies.empty() || !is_loopback(host));
  std::string unknown;
  const auto scopes = parse_scopes(anonymous, unknown);
  if (!scopes) return "--anonymous: there is no scope \"" + unknown + "\"";
  gate.anonymous = asked ? *scopes : ScopeSet::all();
  gate.only_this_machine = !asked && !insecure;
  if (auto problem = settle_rate("--quota-key", key_rate, {}, gate.key_rate)) return problem;
  if (auto problem = settle_rate("--quota-capability", capability_rate, asked ? public_capability_rate : Rate(),
                                 gate.capability_rate))
    return problem;
  if (auto problem =
          settle_rate("--quota-address", address_rate, asked ? public_address_rate : Rate(), gate.address_rate))
    return problem;
  if (!asked) return {};
  const auto file = read_secret_file(keys_file);
  const auto keys = file ? ApiKeys::parse(file->bytes) : Result<ApiKeys, std::string>(ApiKeys());
  if (!keys) return "--keys: " + keys_file + ": " + keys.error();
  if (keys->list().empty())
    return std::string(is_loopback(host) && proxies.empty() ? "--require-keys: there is no API key"
                                                            : "others than this machine could use this door, and "
                                                              "there is no API key") +
           ": make one (assay keys create), or say --insecure-no-auth";
  return {};
}

Access::Access(const AccessOptions& options, const Clock& clock, Metrics& metrics)
    : options_(options),
      clock_(clock),
      gate_(options.gate, clock, metrics),
      keys_{options.keys_file, {}},
      capability_keys_{options.capability_keys_file, {}},
      certificate_{options.tls_certificate, {}},
      tls_key_{options.tls_key, {}},
      certificate_end_(tls() ? &metrics.gauge("assay_ingest_certificate_end_timestamp_seconds",
                                              "When the certificate that is shown ends")
                             : nullptr),
      reloads_refused_(metrics.counter("assay_ingest_reloads_refused_total",
                                       "Files of keys or certificates that have changed and can't be used")) {}

Access::~Access() { watcher_.request_stop(); }

std::string Access::take_keys() {
  auto keys = keys_.bytes.empty() ? Result<ApiKeys, std::string>(ApiKeys()) : ApiKeys::parse(keys_.bytes);
  if (!keys) return keys_.path + ": " + keys.error();
  spdlog::info("event=api_keys count={}", keys->list().size());
  gate_.replace(std::move(*keys));
  return {};
}

std::string Access::take_capability_keys() {
  auto keys = CapabilityKeys::parse(capability_keys_.bytes);
  if (!keys) return capability_keys_.path + ": " + keys.error();
  spdlog::info("event=capability_keys count={} newest={}", keys->size(), keys->newest());
  gate_.replace(std::move(*keys));
  return {};
}

std::string Access::take_certificate() {
  auto context = make_tls_context(certificate_.path, tls_key_.path);
  if (!context) return context.error();
  certificate_end_->Set(end_of_certificate(*context));
  tls_.put(std::move(*context));
  spdlog::info("event=certificate file=\"{}\"", certificate_.path);
  return {};
}

Result<void, std::string> Access::open() {
  if (options_.keys_file.empty()) return {};  // never settled: a test's
  std::error_code unseen;                     // is said where the file is read
  if (std::filesystem::exists(keys_.path, unseen) || unseen) {
    auto file = read_secret_file(keys_.path);
    if (!file) return file.error();
    keys_.bytes = std::move(file->bytes);
  }
  if (auto problem = take_keys(); !problem.empty()) return problem;
  if (!std::filesystem::exists(capability_keys_.path, unseen) && !unseen && options_.made_capability_keys)
    if (auto made = write_secret_file(capability_keys_.path, CapabilityKeys::create(clock_.now()).to_json()); !made)
      return made.error();
  auto file = read_secret_file(capability_keys_.path);
  if (!file) return file.error();
  capability_keys_.bytes = std::move(file->bytes);
  if (auto problem = take_capability_keys(); !problem.empty()) return problem;
  if (tls()) {
    for (auto* part : {&certificate_, &tls_key_}) {
      auto pem = read_secret_file(part->path);
      if (!pem) return pem.error();
      part->bytes = std::move(pem->bytes);
    }
    if (auto problem = take_certificate(); !problem.empty()) return problem;
  }
  watcher_ = std::jthread([this](std::stop_token stop) { watch(stop); });
  return {};
}

void Access::reload() {
  const std::scoped_lock lock(mutex_);
  is_asked_ = true;
  asked_.notify_one();
}

void Access::watch(std::stop_token stop) {
  name_this_thread("access-files");
  while (!stop.stop_requested()) {
    try {
      {
        std::unique_lock lock(mutex_);
        asked_.wait_for(lock, stop, 1s, [this] { return is_asked_; });
        is_asked_ = false;
      }
      if (!stop.stop_requested()) look();
    } catch (const std::exception& e) {  // what was read before stays
      spdlog::error("event=reload_failed why=\"{}\"", e.what());
    }
  }
}

void Access::look() {
  const auto again = [this](Watched& file, auto take) {
    std::error_code unseen;  // a directory that may not be entered any more, a link in a circle: it is said below
    auto found = std::filesystem::exists(file.path, unseen) || unseen ? read_secret_file(file.path)
                                                                      : Result<SecretFile, std::string>(SecretFile());
    if (found && found->bytes == file.bytes) return false;
    if (found) std::swap(file.bytes, found->bytes);
    std::string problem;
    try {
      problem = found ? take() : found.error();
    } catch (...) {
      if (found) std::swap(file.bytes, found->bytes);  // so that the next look takes it
      throw;
    }
    if (!problem.empty() && problem != file.problem) {
      reloads_refused_.Increment();
      spdlog::error("event=reload_refused file=\"{}\" why=\"{}\"", file.path, problem);
    }
    file.problem = std::move(problem);
    return true;
  };
  again(keys_, [this] { return take_keys(); });
  again(capability_keys_, [this] { return take_capability_keys(); });
  if (!tls()) return;
  // Written one after the other: a pair that does not fit is said in the log, and the second change mends it.
  const auto certificate = [this] { return take_certificate(); };
  if (!again(certificate_, certificate)) again(tls_key_, certificate);
}

}  // namespace assay::cli
