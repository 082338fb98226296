// The contract on the two logs that need nothing beside them, and what only the embedded one promises.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <latch>
#include <random>
#include <thread>

#include "ops/runtime/run_task.hpp"

#include "storage/db/db.hpp"
#include "storage/log/embedded_log.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/contract/event_log_contract.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/support/wait_until.hpp"

namespace assay::contract {
namespace {

class Memory final : public LogUnderTest {
 public:
  IoContext& io() override { return io_; }
  EventLog& log() override { return log_; }
  EventSources& sources() override { return log_; }
  std::unique_ptr<StepCommitter> committer(Partition) override { return log_.committer(state_); }
  KeyValue& state(Partition) override { return state_; }

 private:
  IoContext io_{1};
  MemoryKeyValue state_;
  MemoryLog log_{4};
};

class Embedded final : public LogUnderTest {
 public:
  Embedded() { reopen(); }
  void reopen() {
    log_.reset();
    db_.reset();
    auto db = Db::open({.directory = directory_.path()});
    EXPECT_TRUE(db) << db.error();
    db_ = std::move(*db);
    auto log = EmbeddedLog::open(*db_, directory_.path(), {.partitions = 4, .disk_reserve_bytes = 0}, metrics_);
    EXPECT_TRUE(log) << log.error();
    log_ = std::move(*log);
  }
  const std::string& directory() const { return directory_.path(); }
  IoContext& io() override { return io_; }
  EmbeddedLog& log() override { return *log_; }
  EventSources& sources() override { return *log_; }
  std::unique_ptr<StepCommitter> committer(Partition) override { return log_->committer(); }
  KeyValue& state(Partition) override { return *db_; }

 private:
  TemporaryDirectory directory_;
  IoContext io_{1};
  Metrics metrics_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<EmbeddedLog> log_;
};

INSTANTIATE_TEST_SUITE_P(Local, EventLogContract,
                         testing::Values(Factory{"memory", [] { return std::make_unique<Memory>(); }},
                                         Factory{"embedded", [] { return std::make_unique<Embedded>(); }}),
                         [](const auto& info) { return info.param.name; });

class EmbeddedLogTest : public EventLogContract {};
INSTANTIATE_TEST_SUITE_P(Only, EmbeddedLogTest,
                         testing::Values(Factory{"embedded", [] { return std::make_unique<Embedded>(); }}),
                         [](const auto& info) { return info.param.name; });

TEST_P(EmbeddedLogTest, KeepsEverythingOverAReopen) {
  auto& embedded = static_cast<Embedded&>(*under_test);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(feedback("k", std::to_string(i))));
  embedded.reopen();
  const auto after = append(feedback("k", "10"));
  ASSERT_TRUE(after);
  EXPECT_EQ(after->offset, 10);
  EXPECT_EQ(read(*open_all(Stream::feedback), 11).size(), 11u);
}

TEST_P(EmbeddedLogTest, WritesStateWithTheRecordsOrNeither) {
  auto& embedded = static_cast<Embedded&>(*under_test);
  Changes state;
  state.put(Family::journal, "k", "v");
  std::vector<Record> refused(1, {.stream = Stream::parked, .key = "k", .value = "v"}), taken(1, feedback("k", "v"));
  EXPECT_FALSE(run(embedded.log().append_with(std::move(refused), state)).front());
  EXPECT_FALSE(*embedded.state(0).get(Family::journal, "k"));
  EXPECT_TRUE(run(embedded.log().append_with(std::move(taken), state)).front());
  EXPECT_EQ(*embedded.state(0).get(Family::journal, "k"), "v");
  embedded.reopen();
  EXPECT_EQ(*embedded.state(0).get(Family::journal, "k"), "v");
}

TEST_P(EmbeddedLogTest, TrimsOnlyWhatIsOldAndEveryConsumerHasPassed) {
  auto& embedded = static_cast<Embedded&>(*under_test);
  const auto p = partition_of("k", 4);
  const StreamPartition where{Stream::feedback, p};
  const Instant t0{std::chrono::hours(24 * 365 * 56)};
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(feedback("k", std::to_string(i))));
  const auto passed_seven = [](StreamPartition) { return Offset(7); };
  embedded.log().trim(t0, std::chrono::hours(1), passed_seven);
  EXPECT_EQ(embedded.log().first(where), 0) << "nothing is old yet";
  embedded.log().trim(t0 + std::chrono::hours(2), std::chrono::hours(1), passed_seven);
  EXPECT_EQ(embedded.log().first(where), 7) << "a consumer has only come so far";
  embedded.reopen();
  EXPECT_EQ(embedded.log().first(where), 7);
  const auto rest = read(*open({{where, 0}}), 3);
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_EQ(rest[0].value, "7");
  const auto next = append(feedback("k", "new"));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->offset, 10);
}

TEST_P(EmbeddedLogTest, TakesWhatIsLongerThanItsQueueWhereNothingWaits) {
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  ASSERT_TRUE(db) << db.error();
  auto log = EmbeddedLog::open(**db, directory.path(), {.queue_bytes_max = 100, .disk_reserve_bytes = 0}, metrics);
  ASSERT_TRUE(log) << log.error();
  for (int i = 0; i < 2; ++i) {
    const auto appended = run_task(under_test->io(), (*log)->append(feedback("k", std::string(1000, 'x'))));
    EXPECT_TRUE(appended) << "or it would be refused for ever: " << appended.error().message();
  }
}

TEST_P(EmbeddedLogTest, RefusesAnAppendWhenTheDiskHasNoRoom) {
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  ASSERT_TRUE(db) << db.error();
  auto log = EmbeddedLog::open(**db, directory.path(), {.disk_reserve_bytes = std::uint64_t(1) << 60}, metrics);
  ASSERT_TRUE(log) << log.error();
  const auto refused = run((*log)->append(feedback("k", "v")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::log_full));
  EXPECT_FALSE((*log)->writable());
  EXPECT_NE(metrics.text().find("assay_log_append_failed_total 1\n"), std::string::npos);
}

TEST_P(EmbeddedLogTest, TheLastOfTheDisksRoomIsForFeedbackAndForWhatHasBegun) {
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  ASSERT_TRUE(db) << db.error();
  const auto free = std::filesystem::space(directory.path()).available;
  // What is free lies in the middle between the reserve and an eighth more; others write to this disk, too.
  auto log = EmbeddedLog::open(**db, directory.path(), {.disk_reserve_bytes = free / 17 * 16}, metrics);
  ASSERT_TRUE(log) << log.error();
  const Record trace{.stream = Stream::traces, .key = "tr-1", .value = "{}"};
  const auto refused = run((*log)->append_all({{.stream = Stream::requests, .key = "req-1", .value = "tr-1"}, trace}));
  for (const auto& one : refused) EXPECT_EQ(one.error(), make_error_code(Error::log_full));
  EXPECT_TRUE((*log)->feedback_alone());
  EXPECT_TRUE((*log)->writable());
  EXPECT_TRUE(run((*log)->append(trace)));
  EXPECT_TRUE(run((*log)->append(feedback("k", "v"))));
}

// The disk takes writes, and never says that they are on it.
TEST_P(EmbeddedLogTest, ASyncThatHangsIsSaidWhileItLastsAndNothingMoreIsAccepted) {
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  ASSERT_TRUE(db) << db.error();
  std::latch may_go(1);
  IoContext io(1);  // outlives the log, whose writer may still be posting to it when what it posted has run
  EmbeddedLogConfig config{.disk_reserve_bytes = 0,
                           .stalled_after = std::chrono::milliseconds(1),
                           .stuck_after = std::chrono::milliseconds(1)};
  config.sync = [&](Db& on) {
    may_go.wait();
    return on.sync();
  };
  auto log = EmbeddedLog::open(**db, directory.path(), config, metrics);
  ASSERT_TRUE(log) << log.error();
  Result<Appended> first = Error::stopped;
  std::atomic<bool> answered = false;
  std::jthread client([&] {
    first = run_task(io, (*log)->append(feedback("k", "v")));
    answered = true;
  });
  wait_until([&] { return !(*log)->writable() && !(*log)->live(); });
  if (HasFailure()) return may_go.count_down();  // or all that follows would wait for it
  const auto p = partition_of("k", EmbeddedLogConfig().partitions);
  auto reader = (*log)->open({{{Stream::feedback, p}, 0}});
  EXPECT_FALSE(answered) << "accepted before it is on the disk";
  EXPECT_TRUE(reader && (*reader)->read_from({Stream::feedback, p}, 10)->empty()) << "read before it is on the disk";
  EXPECT_EQ((*log)->writable().error(), make_error_code(Error::log_unavailable));
  const auto refused = run((*log)->append(feedback("k", "w")));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::log_unavailable));
  may_go.count_down();
  client.join();
  EXPECT_TRUE(first);
  wait_until([&] { return (*log)->writable() && (*log)->live(); });
}

// The disk says that what was written did not come to be on it.
TEST_P(EmbeddedLogTest, ASyncThatFailsAcceptsNothingAndEndsTheLogUntilItIsReadAnew) {
  TemporaryDirectory directory;
  Metrics metrics;
  auto db = Db::open({.directory = directory.path()});
  ASSERT_TRUE(db) << db.error();
  EmbeddedLogConfig config{.disk_reserve_bytes = 0};
  config.sync = [](Db&) -> Result<void> { return make_error_code(Error::corrupt); };
  auto log = EmbeddedLog::open(**db, directory.path(), config, metrics);
  ASSERT_TRUE(log) << log.error();
  for (int i = 0; i < 2; ++i) {
    const auto refused = run_task(under_test->io(), (*log)->append(feedback("k", "v")));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), make_error_code(Error::log_unavailable));
    EXPECT_EQ((*log)->writable().error(), make_error_code(Error::log_unavailable));
    EXPECT_FALSE((*log)->live());
  }
  const auto p = partition_of("k", config.partitions);
  auto reader = (*log)->open({{{Stream::feedback, p}, 0}});
  EXPECT_TRUE(reader && (*reader)->read_from({Stream::feedback, p}, 10)->empty());
}

// Changes the byte behind `text`, where that stands in a file of the database, or changes it back.
void flip_behind(const std::string& directory, const std::string& text) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    if (entry.path().extension() != ".sst") continue;
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    const std::string bytes(std::istreambuf_iterator<char>(file), {});
    const auto at = bytes.find(text);
    if (at == bytes.npos) continue;
    ++found;
    file.clear();
    file.seekp(static_cast<std::streamoff>(at + text.size()));
    file.put(static_cast<char>(bytes[at + text.size()] ^ 1));
  }
  EXPECT_EQ(found, 1);
}

// Who reads on behind it would otherwise have passed what was taken: lost to a sink, without a word.
TEST_P(EmbeddedLogTest, WhatAReadThatFailedHadTakenIsReadAgain) {
  auto& embedded = static_cast<Embedded&>(*under_test);
  const auto p = partition_of("k", 4);
  ASSERT_TRUE(append({.stream = Stream::requests, .key = "k", .value = "tr-1"}));
  std::mt19937_64 random(1);  // what can't be compressed is found in the file as it is
  std::vector<std::string> values;
  for (int i = 0; i < 3; ++i) {
    values.emplace_back();
    while (values.back().size() < 50'000) values.back() += static_cast<char>(random());
    ASSERT_TRUE(append(feedback("k", values.back())));
  }
  ASSERT_TRUE(static_cast<Db&>(embedded.state(0)).flush());
  const auto marker = values[1].substr(0, 49'000);
  flip_behind(embedded.directory(), marker);
  auto source = open({{{Stream::requests, p}, 0}, {{Stream::feedback, p}, 0}});
  EXPECT_FALSE(source->read(10, std::chrono::milliseconds(0)));
  EXPECT_FALSE(source->read_from({Stream::feedback, p}, 10));
  EXPECT_EQ(source->position({Stream::requests, p}), 0);
  flip_behind(embedded.directory(), marker);
  const auto all = read(*source, 4);
  ASSERT_EQ(all.size(), 4u);
  std::vector<std::string> fed;
  for (const auto& record : all)
    if (record.value != "tr-1") fed.push_back(record.value);
  EXPECT_EQ(fed, values);
}

TEST_P(EmbeddedLogTest, IsReadByAnotherProcessWhileItIsInUse) {
  auto& embedded = static_cast<Embedded&>(*under_test);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(feedback("k", std::to_string(i))));
  TemporaryDirectory scratch;
  Metrics metrics;
  auto db = Db::open({.directory = embedded.directory(), .reader_scratch = scratch.path()});
  ASSERT_TRUE(db) << db.error();
  auto log = EmbeddedLog::open(**db, embedded.directory(), {.partitions = 4, .read_only = true}, metrics);
  ASSERT_TRUE(log) << log.error();
  const auto p = partition_of("k", 4);
  auto source = (*log)->open({{{Stream::feedback, p}, 0}});
  ASSERT_TRUE(source);
  EXPECT_EQ(read(**source, 10).size(), 10u);
}

TEST(Db, IsOpenedOnlyOnce) {
  TemporaryDirectory directory;
  auto first = Db::open({.directory = directory.path()});
  ASSERT_TRUE(first) << first.error();
  auto second = Db::open({.directory = directory.path()});
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("in use by another process"), std::string::npos) << second.error();
}

}  // namespace
}  // namespace assay::contract
