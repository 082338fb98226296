#pragma once
// Reads a stream from its beginning to its end, for tools.
#include <functional>

#include "storage/log/event_source.hpp"

namespace assay {

// Calls visit() with what stands in all partitions of the stream now, those of one partition in order; what is appended
// meanwhile may or may not come. Error::timed_out when there should be more and nothing comes for `patience`.
using VisitRecords = std::function<Result<void>(std::span<const LogRecord> records)>;
Result<void> read_all(EventSources& sources, Stream stream, const VisitRecords& visit,
                      std::chrono::milliseconds patience = std::chrono::seconds(30));

}  // namespace assay
