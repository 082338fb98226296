#pragma once
// What stands in the event log, and where. The values are JSON in the formats of the files beside this one.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/clock.hpp"

namespace assay {

using Partition = std::int32_t;
using Offset = std::int64_t;

// On disk: DO NOT CHANGE THESE VALUES.
enum class Stream : std::uint8_t {
  feedback = 1,
  requests = 2,
  traces = 3,
  parked = 4,
  assessments = 5,
  deadletters = 6,
  catalog = 7
};
inline constexpr Stream all_streams[] = {Stream::feedback,    Stream::requests,    Stream::traces, Stream::parked,
                                         Stream::assessments, Stream::deadletters, Stream::catalog};
// "feedback", "requests", …: the topic is the prefix (default "assay.") and this.
std::string_view name_of(Stream stream);

// One partition of one stream.
struct StreamPartition {
  Stream stream;
  Partition partition;
  auto operator<=>(const StreamPartition&) const = default;
};

struct Header {
  std::string name, value;
};

// What a log that can look (the embedded one) needs to refuse a repeat at the door: see EventLog::append.
struct Identity {
  std::string record_id;
  std::uint64_t body_hash;
};

// A record to be appended.
struct Record {
  Stream stream;
  std::string key;
  std::optional<std::string> value;  // none: a tombstone, which ends the key in a compacted stream
  std::vector<Header> headers = {};
  std::optional<Partition> partition = {};  // else by key: partition_of(key)
  std::vector<Identity> identities = {};    // filled where the ids are derived, so that a repeat has the same
  Instant accepted_at = {};                 // when the front door took it
};

// A record as it is read. Views are valid until the source's next read.
struct LogRecord {
  Stream stream;
  Partition partition;
  Offset offset;
  std::string_view key;
  std::string_view value;
  bool tombstone = false;
  Instant at = {};  // when the front door took it; zero where the log does not keep that (embedded)
};

// Java's murmur2 partitioner (seed 0x9747b28c, sign bit cleared), so that a Java producer of the same topic agrees.
Partition partition_of(std::string_view key, Partition partitions);

}  // namespace assay
