#pragma once
// Which partitions of a stream this worker owns: a member of a consumer group, and nothing else.
//
// Records are read by KafkaSource (explicit partitions), not by this member: what a rebalance does to a group's own
// fetchers (queues purged, positions reset, a batch in hand lost) then can't happen to a reader, and a partition's
// feedback, requests and parked are read in the same way. So the member assigns itself nothing and only keeps its
// place: heartbeats, rebalances, the generation that fences a step's offsets.
//
// A broker that restarts may take a static member for another process's and fence it. What is fenced while it holds its
// place was replaced, and has failed; what had lost its place before joins again, with a new client.
#include <atomic>
#include <functional>
#include <mutex>
#include <span>
#include <thread>

#include "storage/log/kafka_config.hpp"

namespace assay {

// What the group is for: its name is the prefix and this one, its members share the partitions of the stream.
struct KafkaGroupRole {
  std::string name = "resolve";
  Stream stream = Stream::feedback;
};

class KafkaWorkerGroup {
 public:
  // All run on the group's thread. While one runs the rebalance waits for it, up to poll_timeout, then the member is
  // thrown out.
  struct Callbacks {
    // What is owned from now on, all of it: strategy `range` takes everything away before it gives anew.
    std::function<void(std::vector<Partition>)> on_assigned;
    // No longer owned when it returns: finish or drop the step in hand. `lost`: someone else may own them already, and
    // a step's commit will fail. Keep the state open: most often the next assignment gives them back.
    std::function<void(std::vector<Partition>, bool lost)> on_revoked;
    // It can't come back, and why, in a sentence: the last that is called, after on_revoked. So it is where one of
    // the two above has thrown.
    std::function<void(std::string)> on_failed = [](std::string) {};
  };

  // Joins. An error is a sentence.
  static Result<std::unique_ptr<KafkaWorkerGroup>, std::string> open(KafkaConfig config, Callbacks callbacks,
                                                                     KafkaGroupRole role = {});
  ~KafkaWorkerGroup();  // leaves
  // Leaves (a static member keeps its place for session_timeout), after a last on_revoked. Nothing is called
  // afterwards. Whoever owns the group and still uses it in what on_revoked ends calls this first: a unique_ptr that is
  // being reset is null already.
  void leave();

  // Where the group's next reader of the role's stream begins, 0 where nothing was committed. Waits up to `limit` while
  // a transaction that commits an offset is open, because it may still be aborted. Thread-safe.
  Result<Offset> committed(Partition partition, std::chrono::milliseconds limit) const {
    return committed({role_.stream, partition}, limit);
  }
  // The same of any stream that the group keeps positions of.
  Result<Offset> committed(StreamPartition where, std::chrono::milliseconds limit) const;
  // Commits positions outside a transaction, and waits for the answer: of a sink whose effects are idempotent.
  // `note` is kept with them. Thread-safe.
  Result<void> commit(std::span<const std::pair<StreamPartition, Offset>> positions, std::string_view note = {}) const;

  // The member and its generation, for a step's offsets. Thread-safe. Null before the first join.
  KafkaGroupMetadata metadata() const;

  // One member of the group, as the brokers see it.
  struct Member {
    std::string id;
    std::vector<Partition> partitions;  // of the role's stream
    bool self = false;
  };
  // All of them, in the order in which the strategy gives them partitions; empty while the group rebalances. Blocks up
  // to `limit`. Thread-safe.
  Result<std::vector<Member>> members(std::chrono::milliseconds limit) const;

  // It can't come back: another process has taken our instance id, or the brokers allow no such session_timeout. What
  // was owned has been revoked.
  bool failed() const { return failed_; }
  bool joined() const { return joined_; }  // has had an assignment, be it empty, and has not lost it

 private:
  KafkaWorkerGroup(KafkaConfig config, Callbacks callbacks, KafkaGroupRole role)
      : config_(std::move(config)), callbacks_(std::move(callbacks)), role_(std::move(role)) {}
  Result<std::shared_ptr<rd_kafka_t>, std::string> make_member();
  void run();
  std::string why_failed() const;
  void keep_place(rd_kafka_t* client);
  static void on_rebalance(rd_kafka_t*, rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*, void* self);
  void revoke(rd_kafka_t* client, bool lost);
  void call(const std::function<void()>& callback);
  void rebalance(rd_kafka_t* client, rd_kafka_resp_err_t what, const rd_kafka_topic_partition_list_t& partitions);

  const KafkaConfig config_;
  const Callbacks callbacks_;
  const KafkaGroupRole role_;
  std::shared_ptr<rd_kafka_t> client() const {
    std::scoped_lock lock(client_mutex_);
    return client_;
  }
  mutable std::mutex client_mutex_;
  std::shared_ptr<rd_kafka_t> client_;  // another one after it was fenced without a place
  std::atomic<bool> stop_{false};
  std::atomic<bool> joined_{false};
  std::atomic<bool> failed_{false};
  std::vector<Partition> owned_;  // the group's thread only, as the next three
  std::uint64_t assignments_ = 0;
  bool session_refused_ = false;
  std::string thrown_;  // by a callback
  std::thread thread_;
};

}  // namespace assay
