// Who is let in, and what a refusal says.
#include <gtest/gtest.h>

#include "ingest/access/gate.hpp"
#include "ops/runtime/base64.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

class GateDecides : public ::testing::Test {
 protected:
  GateDecides() { config.anonymous = {}; }

  const Gate::AccessDecision& decide(const Route* route, std::vector<HeaderField> fields,
                                     http::verb method = http::verb::post, std::string_view allow = {}) {
    if (!gate) {
      gate.emplace(config, clock, metrics);
      ApiKeys keys;
      ScopeSet read;
      read.add(Scope::read);
      all_key = "Bearer " + keys.create("all", ScopeSet::all(), {}, clock.now());
      read_key = "Bearer " + keys.create("read", read, {}, clock.now());
      gate->replace(std::move(keys));
      auto capabilities = CapabilityKeys::create(clock.now());
      token = capabilities.mint(about);
      gate->replace(std::move(capabilities));
    }
    RequestHead head;
    head.method = method;
    head.path = route ? std::string_view(route->pattern) : "/nothing";
    head.query = query;
    head.fields = std::move(fields);
    gate->decide(route, allow, head, boost::asio::ip::make_address("203.0.113.7"), decision);
    return decision;
  }
  unsigned status() const { return decision.refusal ? decision.refusal->status : 200; }
  static std::string header_of(const Response& response, std::string_view name) {
    for (const auto& [n, value] : response.headers)
      if (n == name) return value;
    return {};
  }
  double counted(const std::string& reason) {
    const auto text = metrics.text();
    const auto name = R"(assay_ingest_refused_access_total{reason=")" + reason + "\"} ";
    const auto at = text.find(name);
    return at == text.npos ? -1 : std::stod(text.substr(at + name.size()));
  }

  const Capability about{.trace_id = "tr-1", .names = {"user_*"}, .expires_at = SystemClock().now() + 1h};
  const Route feedback{http::verb::post, "/feedback", Handler(), {.scope = Scope::feedback, .capability = true}, 0};
  const Route search{http::verb::post, "/search", Handler(), {.scope = Scope::read}, 1};
  const Route health{http::verb::get, "/healthz", Handler(), {.scope = Scope::open}, 2};
  GateConfig config;
  SystemClock clock;
  Metrics metrics;
  std::optional<Gate> gate;
  Gate::AccessDecision decision;
  std::string all_key, read_key, token, query;
};

TEST_F(GateDecides, ByTheScopesOfAKey) {
  decide(&search, {});
  EXPECT_EQ(status(), 401u);
  EXPECT_FALSE(decision.refusal->headers.empty());
  decide(&search, {{"Authorization", read_key}});
  EXPECT_EQ(status(), 200u);
  EXPECT_TRUE(decision.joins_traces);
  decide(&feedback, {{"Authorization", read_key}});
  EXPECT_EQ(status(), 403u);
  EXPECT_NE(decision.refusal->body.find("feedback"), std::string::npos);
  decide(&feedback, {{"Authorization", all_key}});
  EXPECT_EQ(status(), 200u);
  decide(&search, {{"Authorization", "Bearer assay_0_0"}});
  EXPECT_EQ(status(), 401u);
  EXPECT_NE(decision.refusal->body.find("this API key is unknown"), std::string::npos);
  EXPECT_FALSE(decision.joins_traces) << "of the one before";
  decide(&health, {});
  EXPECT_EQ(status(), 200u);
  decide(nullptr, {});
  EXPECT_EQ(status(), 200u) << "that there is nothing is no secret";
  EXPECT_EQ(counted("unauthenticated"), 2);
  EXPECT_EQ(counted("forbidden"), 1);
}

TEST_F(GateDecides, ByAKeyBehindItsSchemeAndOneBlankOrMore) {
  decide(&search, {});
  const auto key = read_key.substr(7), password = to_base64("u:" + key);
  for (const auto& value : {"bearer " + key, "Bearer   " + key, "Basic " + password, "basic  " + password}) {
    decide(&search, {{"Authorization", value}});
    EXPECT_EQ(status(), 200u) << value;
  }
  for (const auto& value : {"Bearer" + key, "Basic" + password, std::string("Bearer"), std::string("Basic  ")}) {
    decide(&search, {{"Authorization", value}});
    EXPECT_EQ(status(), 401u) << value;
  }
}

TEST_F(GateDecides, WhoseTheRequestIs) {
  config.anonymous.add(Scope::read);
  decide(&search, {});
  EXPECT_EQ(decision.key_id, "");
  EXPECT_FALSE(decision.shows_capability);
  decide(&search, {{"Authorization", all_key}});
  const std::string all(decision.key_id);
  EXPECT_EQ(all_key.find("Bearer assay_" + all + "_"), 0u);
  decide(&search, {{"Authorization", read_key}, {"X-Feedback-Token", token}});
  EXPECT_NE(decision.key_id, "");
  EXPECT_NE(decision.key_id, all);
  EXPECT_FALSE(decision.shows_capability) << "the key counts";
  decide(&search, {{"Authorization", "Bearer assay_0_0"}, {"X-Feedback-Token", token}});
  EXPECT_EQ(status(), 200u);
  EXPECT_EQ(decision.key_id, "") << "it is none of ours";
  EXPECT_TRUE(decision.shows_capability);
  decide(&search, {});
  EXPECT_FALSE(decision.shows_capability) << "of the one before";
}

TEST_F(GateDecides, ByAFeedbackTokenWhereverItStands) {
  decide(&feedback, {});
  const std::string bearer = "Bearer " + token;
  for (const auto& fields : {std::vector<HeaderField>{{"X-Feedback-Token", token}}, {{"Authorization", bearer}}}) {
    decide(&feedback, fields);
    EXPECT_EQ(status(), 200u);
    ASSERT_TRUE(decision.capability);
    EXPECT_EQ(decision.capability->trace_id, "tr-1");
  }
  decide(&feedback, {});
  EXPECT_FALSE(decision.capability) << "of the one before";
  query = "feedback_token=" + token;
  decide(&feedback, {});
  EXPECT_TRUE(decision.capability);
  query.clear();
  decide(&feedback, {{"Authorization", read_key}, {"X-Feedback-Token", token}});
  EXPECT_TRUE(decision.capability) << "it counts beside a key, too";
  EXPECT_EQ(status(), 200u);
  decide(&search, {{"X-Feedback-Token", token}});
  EXPECT_EQ(status(), 403u);
  decide(&feedback, {{"X-Feedback-Token", "acap_nonsense"}});
  EXPECT_EQ(status(), 401u);
  EXPECT_NE(decision.refusal->body.find("feedback_token"), std::string::npos);
}

TEST_F(GateDecides, ByTheQuotaOfWhoAsks) {
  config.anonymous = ScopeSet::all();
  config.address_rate = {0.001, 1};
  config.key_rate = {0.001, 2};
  decide(&feedback, {});
  EXPECT_EQ(status(), 200u);
  EXPECT_EQ(decision.headers.find("RateLimit-Policy: \"address\";q=1"), 0u) << decision.headers;
  EXPECT_TRUE(decision.charge.buckets);
  std::string left;
  decision.charge.append_header(left);
  EXPECT_TRUE(left.starts_with("RateLimit: \"address\";r=0;t=")) << left;
  EXPECT_EQ(decision.headers.find("RateLimit:"), std::string::npos) << "it is not known yet what is left";
  decide(&feedback, {});
  EXPECT_EQ(status(), 429u);
  EXPECT_GT(decision.wait, 0ms);
  const auto later = header_of(*decision.refusal, "Retry-After");
  EXPECT_GT(std::stoi(later), 0);
  EXPECT_NE(decision.headers.find("RateLimit: \"address\";r=0;t=" + later + "\r\n"), std::string::npos)
      << decision.headers << later;
  EXPECT_FALSE(decision.charge.buckets) << "it is said, and is not to be said once more";
  decide(&health, {});
  EXPECT_EQ(status(), 200u);
  EXPECT_EQ(decision.headers, "") << "of the one before";
  EXPECT_EQ(decision.wait, 0ms);
  EXPECT_FALSE(decision.charge.buckets);
  decide(&feedback, {{"Authorization", all_key}});
  EXPECT_EQ(status(), 200u) << "a key has its own";
  EXPECT_EQ(counted("quota"), 1);
}

TEST_F(GateDecides, ByTheOriginOfAPage) {
  config.anonymous = ScopeSet::all();
  config.origins = {"https://app.example"};
  const HeaderField host{"Host", "door.example"}, listed{"Origin", "https://app.example"},
      foreign{"Origin", "https://evil.example"}, own{"Origin", "https://door.example"},
      preflight{"Access-Control-Request-Method", "POST"};
  decide(&feedback, {host, listed});
  EXPECT_EQ(status(), 200u);
  EXPECT_NE(decision.headers.find("Access-Control-Allow-Origin: https://app.example\r\n"), std::string::npos);
  const auto exposed = decision.headers.substr(decision.headers.find("Access-Control-Expose-Headers: "));
  for (const auto* header : {"X-Trace-Id", "X-Resume-Token", "X-Feedback-Token", "RateLimit-Policy"})
    EXPECT_NE(exposed.find(header), std::string::npos) << header;
  decide(&feedback, {host, own});
  EXPECT_EQ(status(), 200u);
  decide(&feedback, {host, foreign});
  EXPECT_EQ(status(), 403u);
  EXPECT_EQ(decision.headers, "Vary: Origin\r\n");
  decide(nullptr, {host, listed, preflight}, http::verb::options, "POST, DELETE");
  EXPECT_EQ(status(), 204u);
  EXPECT_EQ(decision.refusal->headers.front().second, "POST, DELETE");
  EXPECT_EQ(counted("origin"), 1) << "a preflight that is answered is no refusal";
  decide(nullptr, {host, foreign, preflight}, http::verb::options, "POST, DELETE");
  EXPECT_EQ(status(), 403u);
}

TEST_F(GateDecides, ByTheNameThatABrowserCallsThisMachine) {
  config.anonymous = ScopeSet::all();
  config.only_this_machine = true;
  config.allowed_hosts = {"door.internal"};
  const HeaderField browser{"Accept-Language", "de"};
  for (const auto* host : {"localhost:8080", "127.0.0.1", "[::1]:8080", "a.localhost", "door.internal:1"}) {
    decide(&search, {{"Host", host}, browser});
    EXPECT_EQ(status(), 200u) << host;
  }
  decide(&search, {{"Host", "rebound.example"}, browser});
  EXPECT_EQ(status(), 403u);
  decide(&search, {{"Host", "rebound.example"}});
  EXPECT_EQ(status(), 200u) << "a program has no such trouble";
  decide(&health, {{"Host", "rebound.example"}, browser});
  EXPECT_EQ(status(), 200u);
}

}  // namespace
}  // namespace assay
