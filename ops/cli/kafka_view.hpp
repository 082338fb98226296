#pragma once
// --view: a front door on Kafka that follows all streams into a store of its own, and reads from it. The workers'
// committer with the store as its sink, and beside it what the workers know (the index, the parked), put together here.
//
// Reading one's own writes: what this door had acknowledged when the read arrived must first have been decided by the
// workers, wherever they are (the group has committed a position behind it), and then what they wrote by that time must
// have been applied here. One thread finds that out for all who wait, in rounds (view_round.hpp).
#include <memory>
#include <thread>

#include "ops/cli/spool_options.hpp"
#include "ops/cli/view_ages.hpp"
#include "ops/cli/view_round.hpp"
#include "storage/log/kafka_offsets.hpp"
#include "storage/log/kafka_source.hpp"
#include "storage/log/stall_watch.hpp"
#include "storage/sinks/state_sink.hpp"
#include "storage/sinks/store_sink.hpp"
#include "storage/view/store_view.hpp"
#include "workers/committer.hpp"

namespace assay::cli {

// The brokers may be away when the process starts: opened when first read, and when the door knows that the topics are
// its own.
class LazyKafkaSources final : public EventSources {
 public:
  LazyKafkaSources(const KafkaOptions& kafka, DoorLog& door) : kafka_(kafka), door_(door) {}
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override;
  Partition partitions(Stream stream) const override { return door_.log().partitions(stream); }
  // The last opening found less in the topics than has been read of them. Thread-safe.
  bool others() const { return others_; }

 private:
  const KafkaOptions& kafka_;
  DoorLog& door_;
  std::mutex mutex_;
  std::unique_ptr<KafkaSources> sources_;
  std::atomic<bool> others_{false};
  std::chrono::steady_clock::time_point ask_again_{};
};

// How far a sink has come in the partition, by what its group has committed: where that is nothing in any there may be
// no such sink.
std::optional<Offset> place_of_sink(const KafkaOffsets::Offsets& committed, StreamPartition of);

// All given outlives it. `door` knows how many partitions there are.
class KafkaView {
 public:
  KafkaView(const KafkaOptions& kafka, DoorLog& door, KeyValue& db, const ViewAges& ages, ViewCutoffs& cutoffs,
            const Clock& clock, Metrics& metrics);
  ~KafkaView();

  View& view() { return view_; }
  // An error is a sentence.
  Result<void, std::string> start();
  void stop();
  // For /readyz: everything has been read, but for `lag_max` records; or nobody can know, because Kafka is away.
  Result<void> caught_up(std::int64_t lag_max) const;
  // For /livez: none of its threads hangs.
  bool live() const;

 private:
  Task<Result<void>> applied(std::chrono::milliseconds limit);
  Task<Result<void>> until_drained(Offset spooled, std::chrono::steady_clock::time_point deadline);
  bool wanted() const { return waiting_ > 0 && wanted_ > reached_; }
  void watch(std::stop_token stop);
  ViewRound::Accepted accepted() const;
  Result<KafkaOffsets::Offsets> written() const;
  bool followed(const KafkaOffsets::Offsets& ends, IoContext& io);
  void watch_sinks(std::stop_token stop);
  void look_at_sinks();
  ViewRound::Accepted logged() const;
  void look_whether_all_is_seen();
  std::vector<StreamPartition> all(std::initializer_list<Stream> streams) const;

  const KafkaOptions& kafka_;
  DoorLog& door_;
  ViewCutoffs& cutoffs_;
  const Clock& clock_;
  LazyKafkaSources sources_;
  Progress progress_;
  StoreSink store_sink_;
  StateSink state_sink_;
  Committer store_committer_, state_committer_;
  StoreView view_;

  std::unique_ptr<KafkaOffsets> resolver_, mlflow_;
  IoContext round_io_{1}, everything_io_{1};  // of the two rounds, each on its thread
  ViewRound round_;                           // the watcher's
  ViewRound everything_;                      // the sinks' watcher's: of all doors, not of this one alone
  std::chrono::steady_clock::time_point everything_next_;
  Milestone settled_;  // how many acknowledgements can be read
  std::atomic<std::int64_t> wanted_{0}, reached_{0}, waiting_{0};
  mutable std::mutex mutex_;  // of the sleeps, and of mlflow_offsets_
  std::condition_variable_any wake_;
  std::map<StreamPartition, Offset> mlflow_offsets_;
  StallWatch round_step_{std::chrono::minutes(1)}, sinks_step_{std::chrono::minutes(1)};
  std::jthread watcher_, sinks_watcher_;
};

}  // namespace assay::cli
