#pragma once
// One round of a view's readers: how far the log had come when it began, kept until all of that can be read here. While
// others write all the time, places that are looked up anew at each try are never reached.
#include <functional>
#include <optional>

#include "storage/log/kafka_offsets.hpp"

namespace assay::cli {

class ViewRound {
 public:
  using Offsets = KafkaOffsets::Offsets;
  struct Accepted {
    std::int64_t version;  // grows with every record
    Offsets ends;          // one past the last one, of each partition written to
  };
  struct Asks {
    std::function<Accepted()> accepted;                                          // what this door has had acknowledged
    std::function<Result<Offsets>(std::span<const StreamPartition>)> committed;  // by the workers, of feedback
    std::function<Result<Offsets>()> ends;                                       // of what the workers write
    std::function<bool(const Offsets&)> followed;  // all before these has been applied here; may wait a little
  };
  explicit ViewRound(Asks asks) : asks_(std::move(asks)) {}

  // One try; the first begins the round. The version up to which everything can be read: it's over. None: not yet, or
  // the brokers did not answer; the next try goes on where this one was.
  std::optional<std::int64_t> look();

 private:
  struct Target {
    std::int64_t version;
    Offsets undecided;            // of feedback
    Offsets own;                  // of what goes past the workers
    std::optional<Offsets> ends;  // none until all is decided
  };
  void begin();
  bool decided();

  const Asks asks_;
  std::optional<Target> target_;
};

}  // namespace assay::cli
