#pragma once
// One run of the simulator: clients, front door, log, resolvers and a sink under a virtual clock, with faults, all
// drawn from one seed; then the checks from outside. See README.md.
#include <memory>
#include <random>
#include <set>

#include "storage/records/dead_letter_record.hpp"
#include "storage/state/memory_key_value.hpp"
#include "storage/store/assessment_row.hpp"
#include "tests/simulation/sim_log.hpp"
#include "tests/support/hand_clock.hpp"
#include "workers/partition_loop.hpp"

namespace assay::simulation {

// What a broken promise looks like, in words.
struct Violation {
  std::string what;
};
// The process dies here.
struct Crash {};

// The record_id under which something was first said: its replays have "#N" behind it.
inline std::string first_said(const std::string& record_id) { return record_id.substr(0, record_id.find('#')); }

class World {
 public:
  World(std::uint64_t seed, Metrics& metrics, bool trace);
  // Throws Violation.
  void run();

 private:
  enum class Mode { atomic, transactional };
  // A machine's disk. Writes may be where the process dies.
  class Disk final : public KeyValue {
   public:
    explicit Disk(World& world) : world_(world) {}
    Result<std::optional<std::string>> get(Family f, std::string_view k) const override { return inner.get(f, k); }
    Result<std::vector<std::optional<std::string>>> multi_get(Family f, std::span<const std::string> k) const override {
      return inner.multi_get(f, k);
    }
    Result<void> scan(Family f, std::string_view a, std::string_view b, const Visit& v) const override {
      return inner.scan(f, a, b, v);
    }
    Result<void> scan_back(Family f, std::string_view a, std::string_view b, const Visit& v) const override {
      return inner.scan_back(f, a, b, v);
    }
    Result<void> write(const Changes& changes) override;
    MemoryKeyValue inner;

   private:
    World& world_;
  };
  class Committer final : public StepCommitter {
   public:
    Committer(World& world, Partition partition, Disk& disk, int epoch)
        : world_(world), partition_(partition), disk_(disk), epoch_(epoch) {}
    StepOutcome commit(Step& step) override { return world_.commit(step, partition_, disk_, epoch_); }

   private:
    World& world_;
    const Partition partition_;
    Disk& disk_;
    const int epoch_;
  };
  struct Owned {                               // a partition
    std::vector<std::unique_ptr<Disk>> disks;  // of the machines that have had it; the state that each was left with
    std::size_t machine = 0;                   // that has it now
    int owner = 0;                             // counts the processes that had it
    int epoch = 0;                             // of the last committer that was opened; all earlier ones are fenced
    Offset committed = 0;                      // transactional: the log's feedback position
    std::unique_ptr<PartitionLoop> loop;       // null: no process
    std::unique_ptr<PartitionLoop> copy;       // a standby on the other machine; null: none
  };
  struct Topic {  // a trace of the application, and its names
    std::string trace_id, client_request_id;
    std::string other_trace_id;                        // told under the same client_request_id as well; empty in most
    std::map<std::string, std::vector<Instant>> told;  // id -> when it came into the log
    std::vector<std::string> assessments;
  };
  struct Said {  // one request of a client, with all that it sends again
    FeedbackRecord record;
    std::size_t topic;
    bool accepted = false;
    std::vector<Instant> landed;  // when copies came into the log
  };
  struct Spooled {
    std::size_t said;
    Instant accepted_at;
  };

  // What happens.
  void act();
  void say_create();
  void say_change();
  void say_again();
  void say_otherwise();
  void send(std::size_t said);
  bool append(std::size_t said, Instant accepted_at);
  void deliver_spooled();
  void poison();
  void tell();
  void replay();
  void run_loop(Partition partition);
  void start_process(Partition partition);
  void die(Partition partition);
  void take_over(Partition partition);
  void follow(Partition partition);
  void run_sink();
  void settle();
  StepOutcome commit(Step& step, Partition partition, Disk& disk, int epoch);
  void land(const Step& step, Partition partition);

  // What must be true.
  void check();
  bool was_replayed(const std::string& record_id) const;
  bool told_within(const Topic& topic, const std::string& id, Instant upto, Instant kept_at) const;
  [[noreturn]] void violated(const std::string& what) const { throw Violation{what}; }

  std::uint64_t pick(std::uint64_t n) { return n ? random_() % n : 0; }
  bool chance(double p) { return static_cast<double>(random_() >> 11) * 0x1.0p-53 < p; }
  std::chrono::milliseconds between(std::int64_t a, std::int64_t b) {
    return std::chrono::milliseconds(a + static_cast<std::int64_t>(pick(static_cast<std::uint64_t>(b - a + 1))));
  }
  void note(const std::string& text) const;

  std::mt19937_64 random_;
  Metrics& metrics_;
  const bool trace_;
  Mode mode_;
  Partition partitions_;
  double faults_;  // how likely one is where one can be
  bool calm_ = false;
  PartitionLoopConfig config_;
  HandClock clock_;
  SimLog log_;
  bool log_full_ = false;
  int depth_ = 0;                          // of takeovers inside a commit
  std::unique_ptr<PartitionLoop> zombie_;  // whose commit is under way

  std::vector<Owned> owned_;
  std::vector<Topic> topics_;
  std::vector<Said> said_;
  std::vector<Spooled> spool_;
  std::set<std::pair<StreamPartition, Offset>> poisoned_;
  // When what the workers forwarded, or buried, landed.
  std::map<std::pair<StreamPartition, Offset>, Instant> landed_at_;
  std::set<std::string> replayed_;
  std::vector<std::size_t> died_;  // of said_, and were replayed
  int next_id_ = 0;

  // The sink: what it applied, and how far, which after a crash may lag behind.
  std::map<std::string, AssessmentRow> rows_;
  std::map<Partition, Offset> sink_position_;
};

}  // namespace assay::simulation
