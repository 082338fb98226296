#pragma once
// What `assay serve` lets go of, looked at once a minute: what the compaction of its database may drop, and what its
// log forgets.
#include <atomic>
#include <map>

#include "ops/runtime/clock.hpp"
#include "storage/log/embedded_log.hpp"
#include "storage/log/progress.hpp"
#include "storage/sinks/assessment_sink.hpp"
#include "workers/resolver.hpp"

namespace assay::cli {

// Asked by the compaction's threads, told by the upkeep's. Until it is told, nothing may go.
class ServeCutoffs {
 public:
  ServeCutoffs(const ResolvePolicy& policy, std::chrono::milliseconds log_retention)
      : policy_(policy), log_retention_(log_retention) {}

  // `all_seen`: when the log last held nothing that was still to be decided or applied; the epoch: not known.
  void look(Instant now, Instant all_seen);
  // For a compaction filter. A seen id may go when it has left the window (state/seen.hpp), a trace's ids when they
  // count as unknown. A deleted trace's tombstone may a day after the ids that lead to it, and after all is over that
  // the log had, or that was parked, when it was deleted: so long, nothing that is late can come to it.
  bool may_go(Family family, std::string_view key, std::string_view value) const;

 private:
  static constexpr Instant never = Instant::min();
  const ResolvePolicy policy_;
  const std::chrono::milliseconds log_retention_;
  std::atomic<Instant> seen_{never}, told_{never}, deleted_{never};  // what is older may go
};

// Who reads the log: it keeps what one of them has not passed.
struct LogFollowers {
  const Progress& progress;  // the resolver's
  const AssessmentSink& store;
  const AssessmentSink* mlflow = nullptr;  // none

  Offset passed(StreamPartition where) const;
};

// When the log last held nothing that its followers had not seen, as far as one look a minute tells.
class CaughtUp {
 public:
  CaughtUp(const EmbeddedLog& log, LogFollowers followers) : log_(log), followers_(followers) {}
  Instant look(Instant now);

 private:
  const EmbeddedLog& log_;
  const LogFollowers followers_;
  std::map<StreamPartition, Offset> ends_;  // of the last look at which they had passed those before
  Instant looked_, since_;                  // that look, and the one before
};

// All outlives it. One thread.
class ServeUpkeep {
 public:
  ServeUpkeep(EmbeddedLog& log, LogFollowers followers, ServeCutoffs& cutoffs, const Clock& clock,
              std::chrono::milliseconds log_retention)
      : log_(log),
        followers_(followers),
        caught_up_(log, followers),
        cutoffs_(cutoffs),
        clock_(clock),
        log_retention_(log_retention) {}
  void look();

 private:
  EmbeddedLog& log_;
  const LogFollowers followers_;
  CaughtUp caught_up_;
  ServeCutoffs& cutoffs_;
  const Clock& clock_;
  const std::chrono::milliseconds log_retention_;
};

}  // namespace assay::cli
