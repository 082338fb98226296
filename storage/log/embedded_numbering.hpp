#pragma once
// How records of the embedded log get their offsets, for the writer's batches and the workers' steps.
#include "storage/log/embedded_format.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay {

// Offsets for records of some streams. While it lives nobody else numbers any there, so that what is written stands in
// the order of its offsets; they are given back unless keep() is called.
class EmbeddedLog::Numbering {
 public:
  using Streams = std::array<bool, stream_count>;
  Numbering(EmbeddedLog& log, const Streams& streams) : log_(log), streams_(streams) {
    for (std::size_t s = 0; s < stream_count; ++s)  // in the streams' order, as everybody locks them
      if (streams_[s]) locks_.emplace_back(log_.stream_mutex_[s]);
    for (std::size_t s = 0; s < stream_count; ++s)
      if (streams_[s]) before_[s] = log_.next_[s];
  }
  ~Numbering() {
    for (std::size_t s = 0; !kept_ && s < stream_count; ++s)
      if (streams_[s]) log_.next_[s] = std::move(before_[s]);
  }
  Numbering(const Numbering&) = delete;

  Partition partition_of(const Record& record) const {
    return record.partition.value_or(assay::partition_of(record.key, log_.partitions(record.stream)));
  }
  // Adds the record to `changes` under its stream's next offset there.
  Offset add(const Record& record, Partition partition, Changes& changes) {
    const auto offset = log_.next_[static_cast<std::size_t>(record.stream)][static_cast<std::size_t>(partition)]++;
    changes.put(*embedded::family_of(record.stream), embedded::key_of(partition, offset), embedded::value_of(record));
    return offset;
  }
  // They are written; others go on.
  void keep() {
    kept_ = true;
    locks_.clear();
  }
  // And may be read.
  void publish() {
    for (std::size_t s = 0; s < stream_count; ++s)
      if (streams_[s]) log_.publish(static_cast<Stream>(s));
  }

 private:
  EmbeddedLog& log_;
  const Streams streams_;
  std::vector<std::unique_lock<std::mutex>> locks_;
  std::array<std::vector<Offset>, stream_count> before_;
  bool kept_ = false;
};

}  // namespace assay
