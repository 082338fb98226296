#include "workers/feeder.hpp"
#include "tests/support/hand_clock.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <mutex>

#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/state/parked_state.hpp"
#include "storage/state/partition_state.hpp"
#include "tests/support/scripted_server.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// As much of MLflow as the feeder asks: searches of one experiment's traces, by time or by id.
class Traces {
 public:
  Traces() : server_([this](test::ScriptedServer::Conversation& c) { serve(c); }) {}

  std::string url() const { return server_.url(); }
  void put(const std::string& trace_id, const std::string& request_id, Instant began,
           std::chrono::milliseconds took = 0ms) {
    std::scoped_lock lock(mutex_);
    traces_.push_back({trace_id, request_id, began.time_since_epoch().count(), took.count()});
  }
  std::size_t page_max = 500;
  std::string never_answers = {};  // filters that say this
  std::string breaks_with = {};    // the answer to every search
  // Every answer names it as what comes next: 0 is the page that was just given.
  std::string next_traces = {}, next_experiments = {};

 private:
  struct Trace {
    std::string trace_id, request_id;
    std::int64_t began, took;
  };

  void serve(test::ScriptedServer::Conversation& conversation) {
    while (const auto raw = conversation.read_request()) {
      const auto body = boost::json::parse(raw->substr(raw->find("\r\n\r\n") + 4)).as_object();
      if (raw->find("experiments/search") != raw->npos)
        conversation.answer(R"({"experiments":[{"experiment_id":"1"}],"next_page_token":")" + next_experiments + "\"}",
                            "200 OK");
      else if (!breaks_with.empty())
        conversation.answer(breaks_with, "500 X");
      else if (!never_answers.empty() && body.at("filter").as_string().find(never_answers) != std::string::npos)
        conversation.answer("", "504 X");
      else
        conversation.answer(boost::json::serialize(search(body)), "200 OK");
    }
  }

  boost::json::object search(const boost::json::object& asked) {
    std::scoped_lock lock(mutex_);
    const std::string filter(asked.at("filter").as_string());
    auto found = traces_;
    std::erase_if(found, [&](const Trace& one) { return !matches(filter, one); });
    std::ranges::stable_sort(found, {}, &Trace::began);
    if (asked.at("order_by").as_array().at(0) == "timestamp_ms DESC") std::ranges::reverse(found);
    std::size_t at = 0;
    if (const auto* token = asked.if_contains("page_token")) at = std::stoul(std::string(token->as_string()));
    boost::json::object out;
    auto& list = out["traces"].emplace_array();
    for (; at < found.size() && list.size() < page_max; ++at)
      list.push_back({{"trace_id", found[at].trace_id}, {"client_request_id", found[at].request_id}});
    if (at < found.size()) out["next_page_token"] = std::to_string(at);
    if (!next_traces.empty()) out["next_page_token"] = next_traces;
    return out;
  }

  static bool matches(const std::string& filter, const Trace& trace) {
    const auto at_least = [&](const std::string& name, std::int64_t value) {
      const auto at = filter.find(name + " >= ");
      return at == filter.npos || value >= std::stoll(filter.substr(at + name.size() + 4));
    };
    if (!at_least("timestamp_ms", trace.began) || !at_least("execution_time_ms", trace.took)) return false;
    const auto asks = [&](const std::string& attribute, const std::string& id) {
      return !filter.starts_with(attribute + " IN (") || filter.find("'" + id + "'") != filter.npos;
    };
    return asks("request_id", trace.trace_id) && asks("client_request_id", trace.request_id);
  }

  std::mutex mutex_;
  std::vector<Trace> traces_;
  test::ScriptedServer server_;  // last: its threads end before what they use
};

class FeederTest : public testing::Test {
 protected:
  std::unique_ptr<Feeder> feeder(bool knows = true) {
    FeederConfig config;
    config.mlflow.url = mlflow.url();
    config.asked_max = 2;
    config.known_max = known_max;
    FeederIndex index;
    if (knows) index.states = [this](const FeederIndex::Visit& visit) { visit(0, state); };
    return std::make_unique<Feeder>(std::move(config), log, local, clock, metrics, std::move(index));
  }
  // What was told since the last call, "id=trace"; the index has it from then on.
  std::vector<std::string> told() {
    std::vector<std::string> out;
    auto source = log.open({{{Stream::requests, 0}, read_to_}});
    Changes changes;
    const auto records = (*source)->read(1000, 0ms);
    for (const auto& record : *records) {
      out.push_back(std::string(record.key) + "=" + std::string(record.value));
      put_trace(changes, 0, record.key, record.value);
    }
    read_to_ = log.end({Stream::requests, 0});
    EXPECT_TRUE(state.write(changes));
    return out;
  }
  void told_by_the_door(const std::string& trace_id, const std::string& request_id) {
    Changes changes;
    put_trace(changes, 0, trace_id, trace_id);
    put_trace(changes, 0, request_id, trace_id);
    EXPECT_TRUE(state.write(changes));
  }
  void waits(const std::string& id) {
    Changes changes;
    ParkedRecord parked{.target = {Target::Kind::client_request_id, id}, .item = {"a-" + id, "a-" + id, "{}"}};
    park(changes, 0, parked);
    EXPECT_TRUE(state.write(changes));
  }
  using Told = std::vector<std::string>;
  std::size_t known_max = FeederConfig().known_max;

  Traces mlflow;
  MemoryLog log;
  MemoryKeyValue local, state;
  HandClock clock;
  Metrics metrics;

 private:
  Offset read_to_ = 0;
};

TEST_F(FeederTest, TheTracesOfOneNameAreSaidInTheOrderInWhichTheyBegan) {
  mlflow.page_max = 2;
  for (int i = 0; i < 5; ++i) mlflow.put("tr-" + std::to_string(i), "again", clock.now() - 60s + i * 1s);
  for (const bool whole : {true, false}) {
    auto one = feeder(false);
    ASSERT_TRUE(one->look(whole));
    const auto said = told();
    Told names;
    std::ranges::copy_if(said, std::back_inserter(names), [](const auto& one) { return one.starts_with("again"); });
    EXPECT_EQ(names, (Told{"again=tr-0", "again=tr-1", "again=tr-2", "again=tr-3", "again=tr-4"})) << whole;
  }
}

TEST_F(FeederTest, ANameThatWasToldHereIsNotTurnedOverToAnOlderTrace) {
  told_by_the_door("tr-a", "again");
  told_by_the_door("tr-b", "again");
  mlflow.put("tr-a", "again", clock.now() - 2s);  // tr-b is on its way to MLflow
  auto one = feeder();
  EXPECT_EQ(*one->look(true), 0u);
  EXPECT_EQ(told(), Told());
}

TEST_F(FeederTest, AfterARestartNothingIsSaidThatTheIndexKnows) {
  mlflow.put("tr-a", "again", clock.now() - 2s);
  mlflow.put("tr-b", "again", clock.now() - 1s);
  EXPECT_EQ(*feeder()->look(true), 2u);
  EXPECT_EQ(told(), (Told{"tr-a=tr-a", "again=tr-a", "tr-b=tr-b", "again=tr-b"}));
  EXPECT_EQ(*feeder()->look(true), 0u);
  EXPECT_EQ(*feeder()->look(false), 0u);
  EXPECT_EQ(told(), Told());
}

TEST_F(FeederTest, ATraceThatGotItsNameLaterIsSaidByIt) {
  auto one = feeder();
  mlflow.put("tr-a", "", clock.now() - 1s);
  ASSERT_TRUE(one->look(true));
  EXPECT_EQ(told(), (Told{"tr-a=tr-a"}));
  mlflow.put("tr-a", "named", clock.now() - 1s);
  ASSERT_TRUE(one->look(false));
  EXPECT_EQ(told(), (Told{"named=tr-a"}));
}

// MLflow takes them; on assay.requests each would be a dead letter.
TEST_F(FeederTest, ATraceIsNotSaidByANameThatTheDoorsRefuse) {
  const std::string parent = "tr-" + std::string(32, 'a'), upper = "tr-" + std::string(32, 'A');
  mlflow.put("tr-1", parent, clock.now() - 4s);
  mlflow.put("tr-2", "line\none", clock.now() - 3s);
  mlflow.put("tr-3", upper, clock.now() - 2s);
  mlflow.put(parent, "", clock.now() - 1s);
  auto one = feeder();
  EXPECT_EQ(*one->look(true), 4u);
  EXPECT_EQ(told(), (Told{"tr-1=tr-1", "tr-2=tr-2", "tr-3=tr-3", upper + "=tr-3", parent + "=" + parent}));
  EXPECT_EQ(*one->look(true), 0u);
}

TEST_F(FeederTest, WhatTookLongerThanTheWindowIsFoundBeforeAnotherWindowHasPassed) {
  auto one = feeder(false);
  ASSERT_TRUE(one->look(true));
  mlflow.put("tr-long", "long", clock.now() - 20min, 20min);
  clock += 15min;
  ASSERT_TRUE(one->look(true));
  EXPECT_EQ(told(), (Told{"tr-long=tr-long", "long=tr-long"}));
}

TEST_F(FeederTest, WhatWaitsIsAskedForWheneverItsTraceBegan) {
  auto one = feeder();
  ASSERT_TRUE(one->look(true));
  mlflow.put("tr-long", "long", clock.now() - 20min);
  mlflow.put("tr-other", "other", clock.now() - 20min);
  ASSERT_TRUE(one->look(true));
  EXPECT_EQ(told(), Told());
  for (const std::string id : {"a", "long", "tr-other", "un'quotable"}) waits(id);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(one->look(true));  // two at a time
  auto said = told();
  std::ranges::sort(said);
  EXPECT_EQ(said, (Told{"long=tr-long", "other=tr-other", "tr-long=tr-long", "tr-other=tr-other"}));
}

// Or a proxy before it that keeps the answers to POSTs.
TEST_F(FeederTest, AnMlflowThatGivesTheSamePageForEverIsNotAskedForEver) {
  mlflow.put("tr-a", "a", clock.now() - 1s);
  auto one = feeder(false);
  mlflow.next_traces = "0";
  for (const bool whole : {false, true}) {
    EXPECT_EQ(one->look(whole).error(), make_error_code(Error::unsupported)) << whole;
    EXPECT_EQ(one->refusal(), "the same next_page_token again");
  }
  mlflow.next_traces.clear();
  mlflow.next_experiments = "0";
  EXPECT_EQ(one->look(true).error(), make_error_code(Error::unsupported));
  mlflow.next_experiments.clear();
  EXPECT_TRUE(one->look(true));
}

TEST_F(FeederTest, MoreNewTracesThanCanBeGatheredAreLeftToTheReadingOfTheWholeWindow) {
  mlflow.page_max = 1;
  known_max = 2;
  for (int i = 0; i < 5; ++i) mlflow.put("tr-" + std::to_string(i), "", clock.now() - 60s + i * 1s);
  auto one = feeder();
  EXPECT_EQ(one->look(false).error(), make_error_code(Error::unsupported));
  EXPECT_EQ(told(), Told());
  EXPECT_EQ(*one->look(true), 5u);
}

TEST_F(FeederTest, WhatMlflowAnswersIsSaidUntilItAnswersWell) {
  mlflow.breaks_with = R"({"error_code":"INTERNAL_ERROR","message":"no such table"})";
  const auto one = feeder();
  EXPECT_FALSE(one->look(true));
  EXPECT_EQ(one->refusal(), "/api/3.0/mlflow/traces/search: 500 INTERNAL_ERROR: no such table");
  mlflow.breaks_with.clear();
  EXPECT_TRUE(one->look(true));
  EXPECT_EQ(one->refusal(), "");
}

// MLflow has no index for it: among enough traces that question takes longer than anybody waits.
TEST_F(FeederTest, AQuestionThatIsNeverAnsweredHoldsNothingBack) {
  mlflow.never_answers = "execution_time_ms";
  waits("old");
  mlflow.put("tr-old", "old", clock.now() - 20min);
  ASSERT_TRUE(feeder()->look(true));
  EXPECT_EQ(told(), (Told{"tr-old=tr-old", "old=tr-old"}));
  clock += 1h;
  ASSERT_TRUE(feeder()->look(true));
  mlflow.put("tr-before", "before", clock.now() - 50min);
  ASSERT_TRUE(feeder()->look(false));
  EXPECT_EQ(told(), Told()) << "it goes on where it was";
}

TEST_F(FeederTest, AClockThatWasAheadDoesNotSilenceIt) {
  clock += 24h;
  auto one = feeder();
  ASSERT_TRUE(one->look(true));
  clock -= 24h;
  mlflow.put("tr-a", "a", clock.now() - 1s);
  ASSERT_TRUE(one->look(false));
  EXPECT_EQ(told(), (Told{"tr-a=tr-a", "a=tr-a"}));
  mlflow.put("tr-long", "long", clock.now() - 20min, 20min);
  ASSERT_TRUE(one->look(true));
  EXPECT_EQ(told(), (Told{"tr-long=tr-long", "long=tr-long"}));
}

TEST_F(FeederTest, WhatCameWhileItLookedAheadIsFoundWhenTheClockIsRight) {
  mlflow.put("tr-a", "a", clock.now() - 3h);
  clock += 24h;
  ASSERT_TRUE(feeder(false)->look(true));
  told();
  clock -= 24h;
  mlflow.put("tr-b", "b", clock.now() - 2h);
  ASSERT_TRUE(feeder(false)->look(true));
  EXPECT_EQ(told(), (Told{"tr-a=tr-a", "a=tr-a", "tr-b=tr-b", "b=tr-b"}));
}

TEST_F(FeederTest, WhatIsThrownIsNotTakenForAStop) {
  FeederIndex index{.states = [](const FeederIndex::Visit&) { throw std::bad_alloc(); }};
  FeederConfig config;
  config.mlflow.url = mlflow.url();
  Feeder it(std::move(config), log, local, clock, metrics, std::move(index));
  EXPECT_THROW((void)it.look(true), std::bad_alloc);
}

}  // namespace
}  // namespace assay
