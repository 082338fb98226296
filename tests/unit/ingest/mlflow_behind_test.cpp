// MLflow's door before an MLflow server: what becomes of the answers that are passed back.
#include <gtest/gtest.h>

#include "ingest/mlflow/search_route.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "storage/state/partition_state.hpp"
#include "tests/unit/ingest/mlflow_door_fixture.hpp"

namespace assay {
namespace {

class BeforeMlflow : public MlflowDoorTest {
 protected:
  BeforeMlflow() { door_.config.server_behind = true; }

  struct NoBody final : RequestBody {
    std::optional<std::uint64_t> length() const override { return 0; }
    Task<Result<std::string_view>> read_some() override { co_return std::string_view(); }
  };
  // What the client gets.
  struct Client final : ResponseStream {
    Task<Result<void>> respond(Response response) override {
      status = response.status;
      body = response.body;
      ended = true;
      co_return Result<void>();
    }
    Task<Result<void>> begin(unsigned s, std::string_view, Headers) override {
      status = s;
      co_return Result<void>();
    }
    Task<Result<void>> write(std::string_view bytes) override {
      body += bytes;
      co_return Result<void>();
    }
    void expect_reader(std::chrono::milliseconds) override {}
    Task<Result<void>> end() override {
      ended = true;
      co_return Result<void>();
    }
    std::unique_ptr<TakenConnection> take_over() override { return nullptr; }
    bool gone() override { return false; }
    unsigned status = 0;
    std::string body;
    bool ended = false;
  };
  // What the client gets of what no route has answered, where the server behind answers so.
  Client behind(const std::string& path, std::string body, unsigned status, std::string answer) {
    const auto size = body.size();
    body.resize(size + 64);
    const HeaderField header{"Content-Type", "application/json"};
    Request request{.method = http::verb::post, .path = path};
    request.body = std::string_view(body).substr(0, size);
    request.headers = {&header, 1};
    const PassHandler answers = [this, status, answer](Request&, RequestBody&, ResponseStream& to) {
      ++asked_;
      return answer_with(status, answer, to);
    };
    const auto pass = with_searches(door_, with_deletions(door_, answers));
    NoBody none;
    Client client;
    IoContext context(1);
    run_task(context, done(pass(request, none, client)));
    apply();
    return client;
  }
  Client delete_behind(const std::string& body, unsigned status, const std::string& answer) {
    return behind(delete_path, body, status, answer);
  }
  static Task<bool> done(Task<void> work) {
    co_await std::move(work);
    co_return true;
  }
  static Task<void> answer_with(unsigned status, std::string text, ResponseStream& to) {
    const ResponseStream::Headers none;
    const auto begun = co_await to.begin_sized(status, none, text.size());
    const auto written = co_await to.write(text);
    if (!begun || !written) co_return;
    (void)co_await to.end();
  }
  bool deleted(const std::string& trace_id) { return *view_.deleted(trace_id); }
  std::vector<std::string> named() {
    std::vector<std::string> names;
    EXPECT_TRUE(read_all(log_, Stream::requests, [&](std::span<const LogRecord> records) {
      for (const auto& record : records) names.emplace_back(record.value);
      return Result<void>();
    }));
    return names;
  }
  int asked_ = 0;  // of the server behind
  static constexpr auto delete_path = "/api/3.0/mlflow/traces/delete-traces";
  const std::string both_ = R"({"experiment_id":"1","request_ids":["tr-a","tr-b"]})";
};

TEST_F(BeforeMlflow, WhatItHasDeletedByIdsIsDeletedHereToo) {
  EXPECT_EQ(post(delete_path, both_), 404u) << "it is asked";
  EXPECT_FALSE(deleted("tr-a"));
  const auto client = delete_behind(both_, 200, R"({"traces_deleted":2})");
  EXPECT_EQ(client.status, 200u);
  EXPECT_EQ(client.body, R"({"traces_deleted":2})");
  EXPECT_TRUE(client.ended);
  EXPECT_TRUE(deleted("tr-a") && deleted("tr-b"));
  EXPECT_EQ(named(), (std::vector<std::string>{"tr-a", "tr-b"})) << "what waits for them waits no longer";
}

TEST_F(BeforeMlflow, WhatItMayNotHaveDeletedStands) {
  EXPECT_EQ(delete_behind(both_, 200, R"({"traces_deleted":1})").body, R"({"traces_deleted":1})");
  EXPECT_EQ(delete_behind(both_, 500, R"({"traces_deleted":2})").status, 500u);
  EXPECT_EQ(delete_behind(both_, 200, "no JSON").body, "no JSON");
  EXPECT_EQ(delete_behind(R"({"experiment_id":"1","max_timestamp_millis":5})", 200, R"({"traces_deleted":2})").status,
            200u);
  EXPECT_EQ(behind("/api/3.0/mlflow/runs/delete", both_, 200, R"({"traces_deleted":2})").status, 200u);
  EXPECT_FALSE(deleted("tr-a") || deleted("tr-b"));
  EXPECT_TRUE(named().empty());
}

// Deleted here first, it would be gone where the server behind refuses, and the sink might have taken it from its
// count.
TEST_F(BeforeMlflow, WhatIsKnownHereGoesWithTheOthersWhenItHasAnswered) {
  EXPECT_EQ(start("tr-a", "1"), 200u);
  EXPECT_EQ(post(delete_path, both_), 404u);
  EXPECT_EQ(delete_behind(both_, 500, "{}").status, 500u);
  EXPECT_FALSE(deleted("tr-a"));
  EXPECT_EQ(delete_behind(both_, 200, R"({"traces_deleted":1})").status, 200u);
  EXPECT_TRUE(deleted("tr-a"));
  EXPECT_FALSE(deleted("tr-b")) << "it may be the one that stands";
}

TEST_F(BeforeMlflow, ADoorWithoutAViewTellsTheOthersWhatWasDeleted) {
  door_.view = nullptr;
  EXPECT_EQ(post(delete_path, both_), 501u) << "which is asked of the server behind, too";
  EXPECT_EQ(delete_behind(both_, 200, R"({"traces_deleted":1})").status, 200u);
  EXPECT_FALSE(deleted("tr-a") || deleted("tr-b"));
  EXPECT_EQ(delete_behind(both_, 200, R"({"traces_deleted":2})").status, 200u);
  EXPECT_TRUE(deleted("tr-a") && deleted("tr-b"));
}

// Else a repeat would hear of none that were deleted, and what is known of them here would stay.
TEST_F(BeforeMlflow, ADeletionThatCantBeWrittenHereIsNotAskedOfIt) {
  log_.fail_with(make_error_code(Error::log_unavailable));
  const auto client = delete_behind(R"({"experiment_id":"1","request_ids":["tr-a"]})", 200, R"({"traces_deleted":1})");
  EXPECT_EQ(client.status, 503u);
  EXPECT_EQ(client.body.find("traces_deleted"), std::string::npos) << client.body;
  EXPECT_EQ(asked_, 0);
  EXPECT_EQ(delete_behind(R"({"experiment_id":"1","max_timestamp_millis":5})", 200, "{}").status, 503u);
  EXPECT_EQ(asked_, 0);
  door_.view = nullptr;
  EXPECT_EQ(delete_behind(R"({"experiment_id":"1","max_timestamp_millis":5})", 200, "{}").status, 200u);
  EXPECT_EQ(asked_, 1) << "what says nothing to the log does not need it";
}

class SearchBeforeMlflow : public BeforeMlflow {
 protected:
  SearchBeforeMlflow() {
    log_.put(trace("tr-1", at(1), located("0", at(1)) + R"(,"client_request_id":")" + request_id_ + "\""));
    Changes changes;
    for (const auto& id : {std::string("tr-1"), request_id_}) put_trace(changes, 0, id, "tr-1", at(1));
    EXPECT_TRUE(kv_.write(changes));
    apply();
  }
  std::string search(const std::string& filter, std::string answer = "{}", const std::string& experiment = "0") {
    const auto body = R"({"locations":[{"type":"MLFLOW_EXPERIMENT","mlflow_experiment":{"experiment_id":")" +
                      experiment + R"("}}],"max_results":5,"filter":")" + filter + "\"}";
    return behind("/api/3.0/mlflow/traces/search", body, 200, std::move(answer)).body;
  }
  const std::string request_id_ = std::string(60, 'n');
  const std::string exactly_ = "client_request_id = '" + request_id_ + "'";
};

TEST_F(SearchBeforeMlflow, OneClientRequestIdThatItFindsNoTraceForIsFoundHere) {
  for (const auto* nothing : {"{}", R"({"traces":[]})"})
    EXPECT_EQ(search(exactly_, nothing), R"({"traces":[)" + *view_.trace_info("tr-1").value() + "]}");
}

TEST_F(SearchBeforeMlflow, WhatItFindsIsItsToSay) {
  const std::string more = R"({"traces":[{"trace_id":"tr-1","tags":{"of":"its own"}}]})";
  EXPECT_EQ(search(exactly_, more), more);
  EXPECT_EQ(search(exactly_, "no JSON"), "no JSON");
}

TEST_F(SearchBeforeMlflow, OfEverythingElseItHasTheWord) {
  EXPECT_EQ(search("client_request_id = 'another'"), "{}");
  EXPECT_EQ(search(exactly_, "{}", "7"), "{}") << "in another experiment";
  EXPECT_EQ(search(exactly_ + " AND status = 'OK'"), "{}");
  EXPECT_EQ(search("client_request_id LIKE 'n%'"), "{}");
  EXPECT_EQ(search("no filter"), "{}");
  door_.view = nullptr;
  EXPECT_EQ(search(exactly_), "{}");
}

// It only reads, so it is not for admins alone, as what is passed on else is.
TEST_F(SearchBeforeMlflow, WhoeverMayReadMaySearch) {
  Router router;
  add_mlflow_routes(router, door_);
  const auto* route = router.find(http::verb::post, "/api/3.0/mlflow/traces/search").route;
  ASSERT_TRUE(route);
  EXPECT_EQ(Scope(route->options.scope), Scope::read);
  EXPECT_TRUE(route->options.else_behind);
}

}  // namespace
}  // namespace assay
