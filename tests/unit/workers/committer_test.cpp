#include "workers/committer.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <latch>
#include <set>

#include "storage/log/memory_log.hpp"
#include "tests/support/hand_clock.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// A log of given records; read() never waits longer than it must.
class ListSources final : public EventSources {
 public:
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override {
    if (away) return make_error_code(Error::log_unavailable);
    for (const auto& [from, offset] : starts)
      if (as_kafka && offset > std::ssize(records[from])) return make_error_code(Error::corrupt);
    opened = starts;
    return std::unique_ptr<EventSource>(std::make_unique<Source>(*this, std::move(starts)));
  }
  Partition partitions(Stream) const override { return 1; }

  void add(Stream stream, std::string value) { records[{stream, 0}].push_back(std::move(value)); }

  std::map<StreamPartition, std::deque<std::string>> records;
  std::map<StreamPartition, Offset> durable;
  std::vector<StartAt> opened;
  Instant at;  // of all
  bool away = false, disk_fails = false, as_kafka = false;
  int lives = 0;  // how often it was made anew

 private:
  class Source final : public EventSource {
   public:
    Source(ListSources& log, std::vector<StartAt> starts) : log_(log) {
      for (const auto& start : starts) positions_[start.from] = start.offset;
    }
    Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds) override {
      batch_.clear();
      for (auto& [of, next] : positions_) take(of, next, records_max);
      return std::span<const LogRecord>(batch_);
    }
    Result<std::span<const LogRecord>> read_from(StreamPartition of, std::size_t records_max) override {
      batch_.clear();
      take(of, positions_.at(of), records_max);
      return std::span<const LogRecord>(batch_);
    }
    Result<void> make_durable() override {
      if (log_.disk_fails) return make_error_code(Error::log_unavailable);
      for (const auto& [of, next] : positions_) log_.durable[of] = next;
      return {};
    }
    Result<Offset> end(StreamPartition of) override { return std::ssize(log_.records[of]); }
    bool is_doubtful(StreamPartition) const override { return log_.lives != life_; }
    Offset position(StreamPartition of) const override { return positions_.at(of); }
    Result<void> seek(StreamPartition of, Offset offset) override {
      positions_[of] = offset;
      return {};
    }
    void wake() override {}

   private:
    void take(StreamPartition of, Offset& next, std::size_t records_max) {
      const auto& list = log_.records[of];
      for (; next < std::ssize(list) && batch_.size() < records_max; ++next)
        batch_.push_back({of.stream, of.partition, next, "", list[static_cast<std::size_t>(next)], false, log_.at});
    }
    ListSources& log_;
    const int life_ = log_.lives;
    std::map<StreamPartition, Offset> positions_;
    std::vector<LogRecord> batch_;
  };
};

class ListSink final : public AssessmentSink {
 public:
  std::string_view name() const override { return "list"; }
  std::vector<Stream> follows() const override { return {Stream::traces, Stream::assessments}; }
  Result<Offset> position(StreamPartition of) override {
    return marks_to.contains(of) ? marks_to.at(of) : applied_[of];
  }
  Result<void> apply(std::span<const LogRecord> records) override {
    if (throws > 0) {
      --throws;
      throw std::bad_alloc();
    }
    if (failures > 0) {
      --failures;
      return make_error_code(Error::storage_failed);
    }
    for (const auto& record : records) {
      values.emplace_back(record.value);
      applied_[{record.stream, record.partition}] = record.offset + 1;
      ++ledger_.read;
      ++ledger_.applied;
    }
    if (until && std::ssize(values) >= until) {
      until = 0;
      reached.count_down();
    }
    return {};
  }
  Offset applied(StreamPartition of) const override {
    const auto at = applied_.find(of);
    return at == applied_.end() ? 0 : at->second;
  }
  bool keeps_position_elsewhere() const override { return elsewhere; }
  Result<void> start_over() override {
    applied_.clear();
    return {};
  }
  bool takes(Stream stream) const override { return !full || stream == Stream::traces; }
  void all_read(Stream stream) override { read.insert(stream); }
  SinkLedger ledger() const override {
    auto all = ledger_;
    all.applied -= lost;
    return all;
  }
  std::int64_t unfinished() const override { return waiting; }

  std::int64_t lost = 0, waiting = 0;
  std::vector<std::string> values;
  int failures = 0, throws = 0;
  bool full = false, elsewhere = false;
  std::set<Stream> read;
  std::map<StreamPartition, Offset> marks_to;  // before what it has applied
  std::ptrdiff_t until = 0;
  std::latch reached{1};
  std::map<StreamPartition, Offset> applied_;

 private:
  SinkLedger ledger_;
};

struct CommitterTest : testing::Test {
  ListSources log;
  ListSink sink;
  Metrics metrics;
  Progress progress;
};

TEST_F(CommitterTest, StartsWhereTheSinkIsAndSaysHowFarItHasCome) {
  for (const auto value : {"0", "1", "2"}) log.add(Stream::assessments, value);
  sink.applied_[{Stream::assessments, 0}] = 1;
  Committer committer(log, sink, metrics, {.progress = &progress});
  EXPECT_EQ(*committer.step(0ms), 2u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(progress.reached(Follower::store, {Stream::assessments, 0}), 3);
  EXPECT_EQ(committer.lag(), 0);
}

TEST_F(CommitterTest, WhatTheSinkCouldNotTakeIsGivenAgainAndNothingIsReadBeforeThat) {
  log.add(Stream::assessments, "0");
  sink.failures = 2;
  Committer committer(log, sink, metrics);
  EXPECT_FALSE(committer.step(0ms));
  log.add(Stream::assessments, "1");
  EXPECT_FALSE(committer.step(0ms));
  EXPECT_EQ(committer.lag(), 2);
  EXPECT_EQ(*committer.step(0ms), 1u);
  EXPECT_EQ(*committer.step(0ms), 1u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"0", "1"}));
}

TEST_F(CommitterTest, ALogThatIsAwayIsOpenedWhenItComes) {
  log.away = true;
  Committer committer(log, sink, metrics);
  EXPECT_FALSE(committer.step(0ms));
  log.away = false;
  EXPECT_TRUE(committer.step(0ms));
}

TEST_F(CommitterTest, ASinkAheadOfALogThatWasPutBackBeginsAnew) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  sink.elsewhere = true;
  sink.applied_[{Stream::assessments, 0}] = 3;
  Committer committer(log, sink, metrics);
  EXPECT_EQ(*committer.step(0ms), 2u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"0", "1"}));
}

TEST_F(CommitterTest, ASinkAheadOfTopicsThatWereMadeAnewBeginsAnew) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  log.as_kafka = true;
  sink.applied_[{Stream::assessments, 0}] = 3;
  Committer committer(log, sink, metrics);
  EXPECT_EQ(*committer.step(0ms), 2u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"0", "1"}));
}

TEST_F(CommitterTest, TopicsMadeAnewUnderASinkThatKeepsItsPositionsAreReadFromTheirBeginning) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  log.as_kafka = sink.elsewhere = true;
  Committer committer(log, sink, metrics);
  EXPECT_EQ(*committer.step(0ms), 2u);
  log.records.clear();
  ++log.lives;
  log.add(Stream::assessments, "2");
  EXPECT_FALSE(committer.step(0ms));
  EXPECT_EQ(*committer.step(0ms), 1u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(CommitterTest, ASinkWithRecordsInHandWaitsForItsNextLifeAndPassesNothingOver) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  log.as_kafka = true;
  {
    Committer committer(log, sink, metrics);
    EXPECT_EQ(*committer.step(0ms), 2u);
    log.records.clear();
    ++log.lives;
    log.add(Stream::assessments, "2");
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(committer.step(0ms));
    for (const auto value : {"3", "4", "5"}) log.add(Stream::assessments, value);
    EXPECT_FALSE(committer.step(0ms)) << "longer than the old one by now";
  }
  Committer committer(log, sink, metrics);
  EXPECT_EQ(*committer.step(0ms), 4u);
}

TEST_F(CommitterTest, ASinkThatIsAwayAtFirstIsHeldAgainstWhatTheLogHadThen) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  sink.elsewhere = true;
  sink.applied_[{Stream::assessments, 0}] = 3;
  const auto end = [](StreamPartition where) { return Offset(where.stream == Stream::assessments ? 2 : 0); };
  Committer committer(log, sink, metrics, {.end_of_own_log = end});
  for (const auto value : {"2", "3"}) log.add(Stream::assessments, value);
  EXPECT_EQ(*committer.step(0ms), 4u);
  // From now on its positions are of this log.
  log.add(Stream::assessments, "4");
  EXPECT_EQ(*committer.step(0ms), 1u);
}

TEST_F(CommitterTest, ASinkAtTheEndOfItsLogStaysThere) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  sink.elsewhere = true;
  sink.applied_[{Stream::assessments, 0}] = 2;
  Committer committer(log, sink, metrics);
  EXPECT_EQ(*committer.step(0ms), 0u);
}

TEST_F(CommitterTest, AFullSinkIsGivenTracesOnly) {
  log.add(Stream::assessments, "a");
  log.add(Stream::traces, "t");
  sink.full = true;
  Committer committer(log, sink, metrics, {.idle_wait = 0ms});
  EXPECT_EQ(*committer.step(0ms), 1u);
  EXPECT_EQ(*committer.step(0ms), 0u);
  EXPECT_EQ(sink.values, (std::vector<std::string>{"t"}));
  sink.full = false;
  EXPECT_EQ(*committer.step(0ms), 1u);
}

TEST_F(CommitterTest, SaysHowManyItsSinkCantAccountFor) {
  const auto shown = [this](const std::string& count) {
    return metrics.text().find("assay_sink_unaccounted{sink=\"list\"} " + count + "\n") != std::string::npos;
  };
  for (const auto value : {"0", "1", "2"}) log.add(Stream::assessments, value);
  Committer committer(log, sink, metrics);
  ASSERT_TRUE(committer.step(0ms));
  EXPECT_TRUE(shown("0")) << metrics.text();
  sink.lost = 2;
  ASSERT_TRUE(committer.step(0ms));
  EXPECT_TRUE(shown("2")) << metrics.text();
  sink.waiting = 2;
  ASSERT_TRUE(committer.step(0ms));
  EXPECT_TRUE(shown("0")) << "what waits is no loss";
}

TEST_F(CommitterTest, ItsThreadTriesAgainAfterAFailureAndStopsWhenAsked) {
  for (const auto value : {"0", "1", "2"}) log.add(Stream::assessments, value);
  sink.failures = 3;
  sink.until = 3;
  Committer committer(log, sink, metrics, {.backoff_first = 1ms, .backoff_max = 2ms});
  committer.start();
  sink.reached.wait();
  committer.stop();
  EXPECT_NE(metrics.text().find(R"(assay_sink_failures_total{sink="list"} 3)"), std::string::npos);
  EXPECT_NE(metrics.text().find(R"(assay_sink_records_total{outcome="applied",sink="list"} 3)"), std::string::npos)
      << metrics.text();
}

TEST_F(CommitterTest, WhatItsSinkThrowsIsAFailureAsAnyOther) {
  for (const auto value : {"0", "1"}) log.add(Stream::assessments, value);
  sink.throws = sink.until = 2;
  Committer committer(log, sink, metrics, {.backoff_first = 1ms, .backoff_max = 2ms});
  committer.start();
  sink.reached.wait();
  committer.stop();
  EXPECT_EQ(sink.values, (std::vector<std::string>{"0", "1"}));
}

TEST_F(CommitterTest, ItsPartOfTheLagGoesWithIt) {
  const auto shown = [this](const std::string& lag) {
    return metrics.text().find("assay_sink_lag_records{sink=\"list\"} " + lag + "\n") != std::string::npos;
  };
  log.add(Stream::assessments, "0");
  ListSink other;
  sink.failures = other.failures = 1;
  Committer stays(log, other, metrics);
  EXPECT_FALSE(stays.step(0ms));
  {
    Committer goes(log, sink, metrics);
    EXPECT_FALSE(goes.step(0ms));
    EXPECT_TRUE(shown("2")) << metrics.text();
  }
  EXPECT_TRUE(shown("1")) << metrics.text();
}

TEST_F(CommitterTest, CountsWhatWasDeletedBeforeItWasRead) {
  const StreamPartition where{Stream::assessments, 0};
  const auto lost = [this](const std::string& records) {
    return metrics.text().find("assay_sink_trimmed_total{sink=\"list\"} " + records + "\n") != std::string::npos;
  };
  MemoryLog kept;
  const auto put = [&](int count) {
    for (int i = 0; i < count; ++i) kept.put({.stream = where.stream, .key = "k", .value = "v", .partition = 0});
  };
  put(10);
  kept.trim(where, 4);
  Committer committer(kept, sink, metrics);
  ASSERT_EQ(*committer.step(0ms), 6u);
  EXPECT_TRUE(lost("0")) << "a sink that begins reads what there is";
  put(5);
  kept.trim(where, 12);
  ASSERT_EQ(*committer.step(0ms), 3u);
  EXPECT_TRUE(lost("2")) << metrics.text();
  put(1);
  kept.trim(where, 16);
  ASSERT_EQ(*committer.step(0ms), 0u);
  EXPECT_TRUE(lost("2")) << "the end of a step's transaction takes an offset, too";
}

TEST_F(CommitterTest, WhatIsReadAgainOnlyForItsMarksIsNoLoss) {
  const StreamPartition where{Stream::assessments, 0};
  MemoryLog kept;
  for (int i = 0; i < 10; ++i) kept.put({.stream = where.stream, .key = "k", .value = "v", .partition = 0});
  kept.trim(where, 6);
  sink.applied_[where] = 9;
  sink.marks_to[where] = 2;
  Committer committer(kept, sink, metrics);
  ASSERT_EQ(*committer.step(0ms), 4u);
  EXPECT_NE(metrics.text().find("assay_sink_trimmed_total{sink=\"list\"} 0\n"), std::string::npos) << metrics.text();
}

TEST_F(CommitterTest, AFullSinkHearsWhetherAllIsRead) {
  log.add(Stream::assessments, "0");
  sink.full = true;
  Committer committer(log, sink, metrics, {.idle_wait = 1ms});
  ASSERT_TRUE(committer.step(0ms));
  EXPECT_EQ(sink.read, (std::set<Stream>{Stream::traces})) << "the assessment has not been";
}

TEST_F(CommitterTest, SaysHowOldIsWhatItHasInHand) {
  const auto behind = [this] {
    const std::string name = "assay_sink_behind_seconds{sink=\"list\"} ";
    const auto text = metrics.text();
    return std::stod(text.substr(text.find(name) + name.size()));
  };
  HandClock clock;
  log.at = clock.now() - 3h;
  log.add(Stream::assessments, "0");
  sink.failures = 1;
  Committer committer(log, sink, metrics, {.clock = &clock});
  EXPECT_FALSE(committer.step(0ms));
  EXPECT_EQ(behind(), 3 * 3600);
  EXPECT_TRUE(committer.step(0ms));
  EXPECT_EQ(behind(), 0);
}

// After a loss of power the log may end before what a step had written unsynced; what stands at those offsets then is
// something else, and a position in another database would pass over it.
TEST_F(CommitterTest, ASinkThatKeepsItsPositionElsewhereIsGivenWhatIsDurableOnly) {
  sink.elsewhere = true;
  log.add(Stream::assessments, "one");
  Committer committer(log, sink, metrics);
  log.disk_fails = true;
  EXPECT_FALSE(committer.step({}));
  EXPECT_TRUE(sink.values.empty());
  log.disk_fails = false;
  ASSERT_TRUE(committer.step({}));
  EXPECT_EQ(sink.values, std::vector<std::string>{"one"});
  EXPECT_EQ((log.durable[{Stream::assessments, 0}]), 1);
}

}  // namespace
}  // namespace assay
