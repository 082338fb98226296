// The world's workers: their processes, steps and commits.
#include "tests/simulation/world.hpp"

namespace assay::simulation {

using namespace std::chrono_literals;

Result<void> World::Disk::write(const Changes& changes) {
  // In the embedded log a step's write is a whole: see commit().
  if (world_.mode_ == Mode::transactional && !world_.calm_ && world_.chance(world_.faults_ / 4)) throw Crash{};
  return inner.write(changes);
}

void World::start_process(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  auto& disk = *owned.disks[mode_ == Mode::atomic ? 0 : owned.machine];
  const auto owner = ++owned.owner;
  auto open = [this, partition, &disk, owner]() -> Result<OpenedPartition> {
    auto& mine = owned_[static_cast<std::size_t>(partition)];
    if (mine.owner != owner) return Error::stopped;  // the group has given it to someone else
    const auto epoch = ++mine.epoch;
    OpenedPartition opened{std::make_unique<Committer>(*this, partition, disk, epoch), {}};
    if (mode_ == Mode::transactional) opened.committed = mine.committed;
    return opened;
  };
  auto config = config_;
  config.partition = partition;
  owned.loop = std::make_unique<PartitionLoop>(config, log_, disk, open, clock_, metrics_, nullptr);
}

void World::die(Partition partition) {
  owned_[static_cast<std::size_t>(partition)].loop.reset();
  note("died partition=" + std::to_string(partition));
}

// A rebalance: the other machine gets the partition, with whatever state it was left with.
void World::take_over(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  owned.machine = 1 - owned.machine;
  owned.copy.reset();
  note("partition=" + std::to_string(partition) + " goes to machine " + std::to_string(owned.machine));
  const auto predecessor = std::move(owned.loop);
  start_process(partition);
  for (auto steps = pick(4); steps > 0; --steps) run_loop(partition);
  // The predecessor comes back to life, and tries to finish.
  if (predecessor && depth_ == 0 && chance(0.7)) {
    note("zombie partition=" + std::to_string(partition));
    try {
      (void)predecessor->run_once(0ms);
    } catch (const Crash&) {
    }
  }
}

// A standby's turn, on the machine that has not the partition. What it hears of the committed position may be old.
void World::follow(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  if (!owned.copy) {
    auto config = config_;
    config.partition = partition;
    const auto never = []() -> Result<OpenedPartition> { return Error::stopped; };
    owned.copy = std::make_unique<PartitionLoop>(config, log_, *owned.disks[1 - owned.machine], never, clock_, metrics_,
                                                 nullptr);
  }
  const auto heard = owned.committed - (chance(0.2) ? static_cast<Offset>(pick(4)) : 0);
  note("follow partition=" + std::to_string(partition) + " to " + std::to_string(heard));
  try {
    if (const auto followed = owned.copy->follow(std::max<Offset>(0, heard)); !followed)
      violated("the standby failed: " + followed.error().message());
  } catch (const Crash&) {
    owned.copy.reset();
  }
}

void World::run_loop(Partition partition) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  if (!owned.loop) start_process(partition);
  auto* const loop = owned.loop.get();
  try {
    const auto ran = loop->run_once(0ms);
    if (ran && loop->meta().ledger.unaccounted() != 0) violated("the ledger does not add up");
    if (ran && loop->meta().ledger.parked != loop->parked())
      violated("the ledger's parked differ from the state's: " + std::to_string(loop->meta().ledger.parked) + ", " +
               std::to_string(loop->parked()));
    if (!ran) {
      note("partition=" + std::to_string(partition) + " " + ran.error().message());
      if (calm_ || (ran.error() != Error::log_unavailable && ran.error() != Error::stopped))
        violated("the loop failed: " + ran.error().message());
    }
  } catch (const Crash&) {
    note("crash partition=" + std::to_string(partition));
    if (owned.loop.get() == loop) owned.loop.reset();
  }
  if (depth_ == 0) zombie_.reset();
}

void World::land(const Step& step, Partition partition) {
  for (const auto& record : step.outputs)
    if (record.stream != Stream::parked || mode_ == Mode::transactional) {
      const auto offset = log_.append(record);
      landed_at_[{{record.stream, log_.partition_for(record)}, offset}] = clock_.now();
      note(std::string(record.value ? "  out " : "  out end of ") + std::string(name_of(record.stream)) + " " +
           std::to_string(log_.partition_for(record)) + "/" + std::to_string(offset) + " " + record.key +
           (record.value ? " " + record.value->substr(0, 300) : ""));
    }
  owned_[static_cast<std::size_t>(partition)].committed = step.feedback_position;
  note("committed partition=" + std::to_string(partition) + " upto " + std::to_string(step.feedback_position));
}

StepOutcome World::commit(Step& step, Partition partition, Disk& disk, int epoch) {
  auto& owned = owned_[static_cast<std::size_t>(partition)];
  const auto fault = [this] { return !calm_ && chance(faults_); };
  if (mode_ == Mode::atomic) {
    if (fault()) return StepOutcome::aborted;
    if (fault() && chance(0.5)) throw Crash{};
    land(step, partition);
    (void)disk.inner.write(step.state);
    if (fault() && chance(0.5)) throw Crash{};
    return StepOutcome::committed;
  }
  // A rebalance between read and commit: the caller becomes a zombie in the middle of its step.
  if (depth_ == 0 && fault() && chance(0.5)) {
    ++depth_;
    // The loop whose commit this is must outlive it.
    auto here = std::move(owned.loop);
    take_over(partition);
    --depth_;
    const auto outcome = epoch == owned.epoch ? StepOutcome::unknown : StepOutcome::aborted;
    if (outcome == StepOutcome::unknown) land(step, partition);  // it was in time
    // Its memory goes with the process, once run_loop() is through with it.
    zombie_ = std::move(here);
    return outcome;
  }
  if (epoch != owned.epoch) return StepOutcome::aborted;  // fenced
  const bool transaction = !step.outputs.empty() || step.feedback_position != owned.committed;
  if (transaction) {
    if (fault()) return StepOutcome::aborted;
    if (fault()) throw Crash{};
    if (fault()) {
      if (chance(0.5)) land(step, partition);
      return StepOutcome::unknown;
    }
    land(step, partition);
    if (fault()) throw Crash{};  // committed, and the state not written
  }
  (void)disk.write(step.state);
  if (fault() && chance(0.5)) throw Crash{};
  return StepOutcome::committed;
}

}  // namespace assay::simulation
