#include "ingest/access/gate.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/core/string.hpp>
#include <cctype>
#include <cmath>

#include "ingest/http/percent.hpp"

namespace assay {
namespace {

using boost::beast::iequals;

constexpr std::string_view exposed =
    "X-Trace-Id, X-Client-Request-Id, X-Resume-Token, X-Feedback-Token, Assay-Durability, Preference-Applied, "
    "Retry-After, RateLimit, RateLimit-Policy";
constexpr std::string_view only_tls = "Strict-Transport-Security: max-age=31536000\r\n";

// What stands behind the scheme of an Authorization, and one blank or more (RFC 9110 11.4); empty: nothing, or it is
// another.
std::string_view behind_scheme(std::string_view scheme, std::string_view value) {
  if (!iequals(value.substr(0, scheme.size()), scheme)) return {};
  value.remove_prefix(scheme.size());
  const auto start = value.find_first_not_of(' ');
  return start == 0 || start == value.npos ? std::string_view() : value.substr(start);
}

// The password of "Basic …": MLflow's client sends a key so; the name before the colon is for people.
std::optional<std::string> basic_password(std::string_view encoded) {
  auto text = base64_decoded(encoded);
  if (!text) return {};
  const auto colon = text->find(':');
  if (colon == text->npos) return {};
  return text->substr(colon + 1);
}

std::optional<std::string> token_of_query(std::string_view query) {
  constexpr std::string_view name = "feedback_token=";
  while (!query.empty()) {
    const auto pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.starts_with(name)) return percent_decoded(pair.substr(name.size()), true);
  }
  return {};
}

// "https://app.example" of the same host that was asked.
bool same_host(std::string_view origin, std::string_view host) {
  const auto scheme = origin.find("://");
  return scheme != origin.npos && !host.empty() && iequals(origin.substr(scheme + 3), host);
}

// The host of "localhost:8080", "[::1]:8080", "127.0.0.1".
std::string_view without_port(std::string_view host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool is_this_machine(std::string_view host) {
  const auto name = without_port(host);
  if (iequals(name, "localhost") || (name.size() > 10 && iequals(name.substr(name.size() - 10), ".localhost")))
    return true;
  error_code ec;
  const auto address = asio::ip::make_address(std::string(name), ec);
  return !ec && address.is_loopback();
}

// Names of headers, as a preflight lists them: nothing that would end the line of an answer.
bool are_names(std::string_view list) {
  constexpr std::string_view more = "-_!#$%&'*+.^`|~, ";
  return list.size() <= 1024 && std::all_of(list.begin(), list.end(), [&](unsigned char c) {
           return std::isalnum(c) != 0 || more.find(static_cast<char>(c)) != more.npos;
         });
}

// To a page that is listed: what its browser asks before it sends the request itself.
Response preflight_answer(std::string_view allow, std::string_view asked_for) {
  constexpr std::string_view usual =
      "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-Client-Request-Id, X-Feedback-Token, "
      "X-Resume-Token, X-Session-ID, X-User-ID";
  constexpr std::string_view all = "GET, HEAD, POST, PUT, PATCH, DELETE";  // of the server behind this door
  Response answer{.status = 204};
  answer.headers.emplace_back("Access-Control-Allow-Methods", std::string(allow.empty() ? all : allow));
  // It may send what it likes: a client library has headers of its own.
  std::string allowed(usual);
  if (!asked_for.empty() && are_names(asked_for)) allowed.append(", ").append(asked_for);
  answer.headers.emplace_back("Access-Control-Allow-Headers", std::move(allowed));
  answer.headers.emplace_back("Access-Control-Max-Age", "7200");
  return answer;
}

Counter& refused(Metrics& metrics, const char* reason) {
  return metrics.counter("assay_ingest_refused_access_total", "Requests refused before their body",
                         {{"reason", reason}});
}

}  // namespace

GateMetrics::GateMetrics(Metrics& metrics)
    : unauthenticated(refused(metrics, "unauthenticated")),
      forbidden(refused(metrics, "forbidden")),
      over_quota(refused(metrics, "quota")),
      origin_refused(refused(metrics, "origin")) {}

Gate::Gate(GateConfig config, const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      clock_(clock),
      metrics_(metrics),
      key_buckets_(1024),
      capability_buckets_(config_.capability_rate.limited() ? config_.bucket_slots : 8),
      address_buckets_(config_.address_rate.limited() ? config_.bucket_slots : 8) {}

void Gate::replace(ApiKeys keys) {
  std::scoped_lock lock(mutex_);
  keys_ = all_keys_.emplace_back(std::make_unique<ApiKeys>(std::move(keys))).get();
}

void Gate::replace(CapabilityKeys keys) {
  std::scoped_lock lock(mutex_);
  capability_keys_ = all_capability_keys_.emplace_back(std::make_unique<CapabilityKeys>(std::move(keys))).get();
}

// What the request brings, of what matters here. Views point into the head.
struct Gate::Credentials {
  std::string_view key, capability, origin, host, fetch_site, preflight_method, preflight_headers;
  bool browser = false;                   // it has what no browser leaves out
  std::string held_key, held_capability;  // what had to be decoded
  bool presented = false;                 // an Authorization of any kind
};

struct Gate::Asked {
  const Route* route;
  std::string_view allow;  // the methods of its path, where there is no route
  const RequestHead& head;
  const IpAddress& peer;
  Credentials found = {};

  Scope scope() const { return route ? Scope(route->options.scope) : Scope::open; }
  bool takes_capability() const { return route && route->options.capability; }
};

void Gate::read_credentials(const RequestHead& head, bool takes_capability, Credentials& found) const {
  for (const auto& [name, value] : head.fields) {
    switch (name.size()) {
      case 4:
        if (iequals(name, "Host")) found.host = value;
        break;
      case 6:
        if (iequals(name, "Origin")) found.origin = value;
        break;
      case 13:
        if (!iequals(name, "Authorization")) break;
        found.presented = true;
        if (const auto token = behind_scheme("Bearer", value); !token.empty()) {
          (token.starts_with(capability_prefix) ? found.capability : found.key) = token;
        } else if (const auto encoded = behind_scheme("Basic", value); !encoded.empty()) {
          found.held_key = basic_password(encoded).value_or(std::string());
          found.key = found.held_key;
        }
        break;
      case 14:
        if (iequals(name, "Sec-Fetch-Site")) found.fetch_site = value;
        break;
      case 15:
        if (iequals(name, "Accept-Language")) found.browser = true;
        break;
      case 16:
        if (iequals(name, "X-Feedback-Token")) found.capability = value;
        break;
      case 29:
        if (iequals(name, "Access-Control-Request-Method")) found.preflight_method = value;
        break;
      case 30:
        if (iequals(name, "Access-Control-Request-Headers")) found.preflight_headers = value;
        break;
      default:
        break;
    }
  }
  // A beacon can't set a header: its token stands in the query.
  if (takes_capability && found.capability.empty() && head.query.find("feedback_token=") != head.query.npos)
    if (auto token = token_of_query(head.query)) {
      found.held_capability = std::move(*token);
      found.capability = found.held_capability;
    }
}

void Gate::decide(const Route* route, std::string_view allow, const RequestHead& head, const IpAddress& peer,
                  AccessDecision& decision) {
  decision.clear();
  decision.joins_traces = config_.anonymous.has(Scope::trace);
  Asked asked{route, allow, head, peer};
  read_credentials(head, asked.takes_capability(), asked.found);
  if (config_.tls && head.path.starts_with("/assay")) decision.headers.append(only_tls);  // the page says the rest
  if (by_origin(asked, decision) || by_host(asked, decision)) return;
  if (route && asked.scope() == Scope::open) return;  // health and the page: never refused
  if (by_key(asked, decision) || by_capability(asked, decision)) return;
  if (!route || config_.anonymous.has(asked.scope())) return;
  const std::string_view why = asked.found.presented
                                   ? "this API key is unknown"
                                   : "an API key is needed here, or a feedback capability for feedback";
  refuse(metrics_.unauthenticated, 401, why, "Authorization", asked, decision);
}

// A page of another site that nobody has listed: its browser hides the answer from it, but the act would be done. An
// older browser says only the origin.
bool Gate::by_origin(const Asked& asked, AccessDecision& decision) {
  const auto& found = asked.found;
  const auto& head = asked.head;
  if (found.origin.empty()) return false;
  const bool listed = show_to(found.origin, decision);
  const bool preflight = head.method == http::verb::options && !found.preflight_method.empty();
  if (listed && preflight && (asked.route || !asked.allow.empty())) {
    decision.refusal = preflight_answer(asked.allow, found.preflight_headers);
    return true;
  }
  const bool reads = head.method == http::verb::get || head.method == http::verb::head;
  const bool said = found.fetch_site.empty() ? !reads : found.fetch_site != "same-origin";
  const bool foreign = said && !same_host(found.origin, found.host);
  if (listed || !(foreign || preflight)) return false;
  refuse(metrics_.origin_refused, 403, "pages of this origin may not use this door", "Origin", asked, decision);
  return true;
}

// Whether its pages are listed; if so, they are shown the answer.
bool Gate::show_to(std::string_view origin, AccessDecision& decision) const {
  bool any = false, listed = false;
  for (const auto& known : config_.origins) {
    any = any || known == "*";
    listed = listed || iequals(known, origin);
  }
  auto& out = decision.headers;
  if (any || listed) {
    out.append("Access-Control-Allow-Origin: ").append(any ? "*" : origin);
    if (!any) out.append("\r\nVary: Origin\r\nAccess-Control-Allow-Credentials: true");
    out.append("\r\nAccess-Control-Expose-Headers: ").append(exposed).append("\r\n");
  } else if (!config_.origins.empty()) {
    out.append("Vary: Origin\r\n");
  }
  return any || listed;
}

// Against DNS rebinding: a page whose own name now resolves to this machine passes for one of ours. A door that asks
// nobody for a key answers browsers only under a name of this machine.
bool Gate::by_host(const Asked& asked, AccessDecision& decision) {
  const auto& found = asked.found;
  const bool by_browser = found.browser || !found.origin.empty();
  if (!config_.only_this_machine || asked.scope() == Scope::open || !by_browser || found.host.empty()) return false;
  if (is_this_machine(found.host) || is_allowed_host(found.host)) return false;
  refuse(metrics_.origin_refused, 403, "this host name is not allowed: --allowed-host adds it", "Host", asked,
         decision);
  return true;
}

bool Gate::is_allowed_host(std::string_view host) const {
  return std::any_of(config_.allowed_hosts.begin(), config_.allowed_hosts.end(), [&](const std::string& known) {
    return iequals(known, host) || iequals(known, without_port(host));
  });
}

// A key that is known; who has none is held to the quota of its address.
bool Gate::by_key(const Asked& asked, AccessDecision& decision) {
  const auto& found = asked.found;
  const auto* keys = keys_.load(std::memory_order_acquire);
  const auto* key = keys && !found.key.empty() ? keys->find(found.key) : nullptr;
  if (!key) return by_address(asked, decision);
  const auto& rate = key->rate.limited() ? key->rate : config_.key_rate;
  if (!within_quota(key_buckets_, key->id, rate, "key", asked, decision)) return true;
  decision.joins_traces = true;
  decision.key_id = key->id;
  // A token that is shown counts, whatever key is beside it: it says what about, and by whom.
  if (asked.takes_capability() && !found.capability.empty()) return false;
  const auto scope = asked.scope();
  if (!key->scopes.has(scope) && !config_.anonymous.has(scope))
    refuse(metrics_.forbidden, 403, "this key does not have the scope \"" + std::string(name_of(scope)) + "\"", {},
           asked, decision);
  return true;
}

bool Gate::by_address(const Asked& asked, AccessDecision& decision) {
  const auto& rate = config_.address_rate;
  if (!rate.limited()) return false;
  const auto identity = quota_identity(client_address(asked.peer, asked.head.fields, config_.proxies));
  return !within_quota(address_buckets_, {identity.data(), identity.size()}, rate, "address", asked, decision);
}

bool Gate::by_capability(const Asked& asked, AccessDecision& decision) {
  if (asked.found.capability.empty()) return false;
  if (!asked.takes_capability()) {
    decision.shows_capability = true;
    if (!config_.anonymous.has(asked.scope()))
      refuse(metrics_.forbidden, 403, "a feedback capability is for feedback on its own answer only", {}, asked,
             decision);
    return true;
  }
  const auto no = [&](std::string_view why) {
    refuse(metrics_.unauthenticated, 401, why, "feedback_token", asked, decision);
    return true;
  };
  const auto* keys = capability_keys();
  if (!keys) return no("this door knows no feedback capabilities");
  auto checked = keys->check(asked.found.capability, clock_.now());
  if (!checked) return no(checked.error());
  const auto& about = checked->trace_id.empty() ? checked->client_request_id : checked->trace_id;
  if (within_quota(capability_buckets_, about, config_.capability_rate, "capability", asked, decision))
    decision.capability = std::move(*checked);
  return true;
}

bool Gate::within_quota(TokenBuckets& buckets, std::string_view caller, const Rate& rate, std::string_view policy,
                        const Asked& asked, AccessDecision& decision) {
  if (!rate.limited()) return true;
  const auto taken = buckets.take(caller, rate, std::chrono::steady_clock::now());
  decision.charge.append_header(decision.headers);  // of the quota before this one, which is charged no more
  decision.charge = taken.allowed ? Charge{&buckets, taken.bucket, rate, policy} : Charge();
  const auto burst = static_cast<std::uint64_t>(std::max(rate.burst, 1.0));
  const auto window = static_cast<std::uint64_t>(std::ceil(static_cast<double>(burst) / rate.per_second));
  auto& out = decision.headers;
  out.append("RateLimit-Policy: \"").append(policy).append("\";q=").append(std::to_string(burst));
  out.append(";w=").append(std::to_string(window)).append("\r\n");
  if (taken.allowed) return true;
  refuse(metrics_.over_quota, 429, "too many requests: repeat it after the time that Retry-After says", {}, asked,
         decision);
  // Both as of now, however long the answer is held back: told at two times they would contradict each other.
  append_rate_limit(policy, taken, out);
  for (auto& [name, value] : decision.refusal->headers)
    if (name == "Retry-After") value = std::to_string(whole_seconds(taken.wait));
  decision.wait = taken.wait;
  return false;
}

void Gate::refuse(Counter& reason, unsigned status, std::string_view why, std::string_view field, const Asked& asked,
                  AccessDecision& decision) {
  reason.Increment();
  decision.refusal = error_response(asked.head.path, status, why, field);
  if (status == 401) decision.refusal->headers.emplace_back("WWW-Authenticate", "Bearer realm=\"assay\"");
}

}  // namespace assay
