// GET /assay/quality over a view whose counting the test holds back.
#include "ingest/web/quality_route.hpp"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <condition_variable>
#include <deque>

#include "storage/state/memory_key_value.hpp"

namespace assay {
namespace {

// Counts until it is let go, or told not to go on.
class SlowView final : public View {
 public:
  Result<std::string> report(const std::string&, Instant, Instant, const std::function<bool()>& go_on) override {
    if (fails) throw std::bad_alloc();
    std::unique_lock lock(mutex_);
    ++begun_;
    changed_.notify_all();
    while (!free_) {
      if (!go_on()) return Error::stopped;
      changed_.wait_for(lock, std::chrono::milliseconds(1));
    }
    return std::string("{}");
  }
  void await_begun() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return begun_ > 0; });
  }
  void let_go() {
    std::scoped_lock lock(mutex_);
    free_ = true;
    changed_.notify_all();
  }
  const KeyValue& kv() const override { return kv_; }
  Result<std::optional<std::string>> trace_of(std::string_view) override { return Error::unsupported; }
  Instant told_since() const override { return Instant::min(); }
  Task<Result<void>> applied(std::chrono::milliseconds) override { co_return Result<void>(); }
  Result<std::optional<Receipt>> receipt(std::string_view) override { return Error::unsupported; }
  Result<std::optional<std::string>> assessment(std::string_view) override { return Error::unsupported; }
  Result<bool> deleted(std::string_view) override { return Error::unsupported; }
  Result<std::optional<std::string>> trace_info(std::string_view) override { return Error::unsupported; }

  std::atomic<bool> fails{false};

 private:
  MemoryKeyValue kv_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int begun_ = 0;
  bool free_ = false;
};

struct QualityRouteTest : testing::Test {
  QualityRouteTest() { route.add_to(router); }
  // Asks for so many different windows at once; their statuses come when the context is run.
  void ask(int count) {
    for (int i = 0; i < count; ++i) {
      auto& request = requests.emplace_back();
      request.method = http::verb::get;
      request.path = "/assay/quality";
      request.query = queries.emplace_back("hours=" + std::to_string(i + 1));
      const auto found = router.find(http::verb::get, request.path);
      asio::co_spawn(context, std::get<Handler>(found.route->handler)(request),
                     [&](std::exception_ptr, Response response) {
                       ++statuses[response.status];
                       EXPECT_TRUE(response.status != 503 || !response.body.empty());
                     });
    }
  }

  SystemClock clock;
  SlowView view;
  Router router;
  IoContext context{1};
  std::deque<Request> requests;
  std::deque<std::string> queries;
  std::map<unsigned, int> statuses;
  QualityRoute route{&view, clock, "0"};
};

TEST_F(QualityRouteTest, OnlyAFewWaitForItsOneThread) {
  ask(20);
  while (statuses[503] < 12) context.run_one();
  view.let_go();
  context.run();
  EXPECT_EQ(statuses, (std::map<unsigned, int>{{200, 8}, {503, 12}}));
}

TEST_F(QualityRouteTest, AStopGivesUpWhatIsBeingCountedAndWhatWaits) {
  ask(3);
  context.poll();
  view.await_begun();
  route.stop();
  context.run();
  EXPECT_EQ(statuses, (std::map<unsigned, int>{{503, 3}}));
}

TEST_F(QualityRouteTest, WhatFailsInCountingIsAnAnswerAndLeavesItsPlace) {
  view.fails = true;
  for (int i = 0; i < 20; ++i) {
    ask(1);
    context.run();
    context.restart();
  }
  EXPECT_EQ(statuses, (std::map<unsigned, int>{{500, 20}}));
}

}  // namespace
}  // namespace assay
