#pragma once
// A spooled log before a Kafka that a test takes away, and what the tests of both its parts ask of it.
#include <gtest/gtest.h>

#include <system_error>

#include "ops/runtime/run_task.hpp"
#include "storage/db/db.hpp"
#include "storage/log/memory_log.hpp"
#include "storage/log/spooled_log.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/contract/event_log_contract.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay::contract {

using namespace std::chrono_literals;

// In Kafka's place: a memory log that can be away, lose its answers, or refuse a record for good.
class Upstream final : public EventLog {
 public:
  explicit Upstream(MemoryLog& log) : log_(log) {}

  Task<Result<Appended>> append(Record record) override {
    std::vector<Record> one;
    one.push_back(std::move(record));
    auto results = co_await append_all(std::move(one));
    co_return results.front();
  }
  Task<std::vector<Result<Appended>>> append_all(std::vector<Record> records) override {
    std::vector<Result<Appended>> results;
    if (meanwhile) meanwhile();
    if (slow) {
      room_ = slow_room - std::min(slow_room, on_their_way_);
      on_their_way_ -= slow_room - room_;
    }
    const auto bad = [this](const Record& record) { return record.key == refused_key; };
    if (refuses_whole && std::ranges::any_of(records, bad)) {
      const auto too_long = boost::system::errc::make_error_code(boost::system::errc::message_size);
      co_return std::vector<Result<Appended>>(records.size(), too_long);
    }
    for (auto& record : records) {
      ++asked;
      if (record.key == refused_key)
        results.emplace_back(boost::system::errc::make_error_code(boost::system::errc::message_size));
      else if (full)
        results.emplace_back(Error::over_capacity);
      else if (away || record.key == stuck_key)
        results.emplace_back(Error::log_unavailable);
      else if (answers_left == 0)
        results.emplace_back(lost(record));
      else if (slow && !in_time(record))
        results.emplace_back(Error::timed_out);
      else
        results.push_back(taken(record));
    }
    co_return results;
  }
  std::string_view durability() const override { return "memory"; }
  Result<void> writable() const override {
    ++looked;
    if (changed) return Error::log_changed;
    return away && known_away ? Error::log_unavailable : Result<void>();
  }
  Partition partitions(Stream stream) const override { return log_.partitions(stream); }

  std::atomic<bool> away{false}, known_away{true}, full{false}, changed{false};
  std::atomic<int> answers_left{1'000'000};  // then records are written, and nobody is told
  std::atomic<int> asked{0};
  mutable std::atomic<int> looked{0};  // times that it was asked whether it is there
  std::atomic<bool> slow{false};  // has time for `slow_room` records until it must answer; the others come afterwards
  static constexpr int slow_room = 2;
  std::string refused_key, stuck_key;
  std::function<void()> meanwhile;  // happens before it answers
  bool refuses_whole = false;

 private:
  Result<Appended> taken(const Record& record) {
    --answers_left;
    return log_.put(record);
  }
  bool in_time(const Record& record) {
    if (room_ > 0) return room_-- > 0;
    ++on_their_way_;
    log_.put(record);
    return false;
  }
  error_code lost(const Record& record) {
    log_.put(record);
    answers_left = 1'000'000;
    return Error::timed_out;
  }
  MemoryLog& log_;
  int room_ = 0, on_their_way_ = 0;
};

class Spooled final : public LogUnderTest {
 public:
  explicit Spooled(SpoolConfig config = {.disk_reserve_bytes = 0}) : config_(config) { reopen(true); }
  // `reachable`: whether the upstream is there from the start.
  void reopen(bool reachable) {
    log_.reset();
    spool_.reset();
    db_.reset();
    metrics_ = std::make_unique<Metrics>();
    auto db = Db::open({.directory = directory_.path()});
    EXPECT_TRUE(db) << db.error();
    db_ = std::move(*db);
    auto spool = Spool::open(*db_, directory_.path(), config_, clock_, *metrics_);
    EXPECT_TRUE(spool) << spool.error();
    spool_ = std::move(*spool);
    auto open = [this]() -> Result<EventLog*, std::string> {
      if (throws_left > 0 && throws_left-- > 0)
        throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
      if (upstream.away) return std::string("nobody there");
      return static_cast<EventLog*>(&upstream);
    };
    log_ = std::make_unique<SpooledLog>(
        *spool_, reachable ? &upstream : nullptr, open,
        SpooledLogConfig{.retry = 1ms, .drain_records_max = 7, .idle_wait = 1ms, .stuck_after = stuck_after});
  }
  IoContext& io() override { return io_; }
  SpooledLog& log() override { return *log_; }
  EventSources& sources() override { return memory; }
  std::unique_ptr<StepCommitter> committer(Partition) override { return memory.committer(state_); }
  KeyValue& state(Partition) override { return state_; }
  Spool& spool() { return *spool_; }
  Db& db() { return *db_; }
  double count(const std::string& name) { return metrics_->counter(name, "").Value(); }
  double gauge(const std::string& name) {
    const auto text = metrics_->text();
    const auto at = text.find("\n" + name + " ");
    return at == text.npos ? -1 : std::stod(text.substr(at + name.size() + 2));
  }

  MemoryLog memory{4};
  Upstream upstream{memory};
  std::chrono::milliseconds stuck_after = 2min;
  std::atomic<int> throws_left{0};  // times that opening it does

 private:
  SpoolConfig config_;
  TemporaryDirectory directory_;
  SystemClock clock_;
  IoContext io_{1};
  MemoryKeyValue state_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Db> db_;
  std::unique_ptr<Spool> spool_;
  std::unique_ptr<SpooledLog> log_;
};

class SpooledLogTest : public testing::Test {
 protected:
  Result<Appended> append(const std::string& key, const std::string& value) {
    return run_task(on.io(), on.log().append({.stream = Stream::feedback, .key = key, .value = value}));
  }
  // What stands upstream of one key, in order.
  std::vector<std::string> arrived(const std::string& key) {
    std::vector<std::string> out;
    auto source = on.memory.open({{{Stream::feedback, partition_of(key, 4)}, 0}});
    for (;;) {
      const auto records = (*source)->read(1000, 0ms);
      if (!records || records->empty()) return out;
      for (const auto& record : *records)
        if (record.key == key) out.emplace_back(record.value);
    }
  }
  void drained() {
    const auto deadline = std::chrono::steady_clock::now() + 30s;
    while (!on.spool().empty() && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    ASSERT_TRUE(on.spool().empty());
  }
  static std::vector<std::string> numbers(int count) {
    std::vector<std::string> out;
    for (int i = 0; i < count; ++i) out.push_back(std::to_string(i));
    return out;
  }
  Spooled on;
};

}  // namespace assay::contract
