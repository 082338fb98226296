#pragma once
// The atomic step of a worker: what it writes, what its state becomes and how far it has read, in one act.
#include <vector>

#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay {

struct Step {
  Partition partition = 0;
  std::vector<Record> outputs;   // assessments, dead letters, and the changelog of the parked, in order
  Changes state;                 // of the partition's state, its own positions included
  Offset feedback_position = 0;  // one past the last feedback record that this step decided
  bool moves_back = false;       // what was committed is a position of another log, which this one replaces
};

enum class StepOutcome {
  committed,  // outputs, position and state are there
  aborted,    // none of them is
  unknown,    // outputs and position may be there; the state is not written: open the partition again
};

// Embedded and memory: one write, committed or (the database failed) aborted. Kafka: one transaction, and the state is
// written after it. After `aborted` or `unknown` drop what was prepared and let the state catch up from the log.
// One thread at a time for one partition. Blocks.
class StepCommitter {
 public:
  virtual ~StepCommitter() = default;
  virtual StepOutcome commit(Step& step) = 0;
};

}  // namespace assay
