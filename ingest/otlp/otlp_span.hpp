#pragma once
// One span of OTLP, whatever it was encoded in.
#include <boost/json/object.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace assay {

struct OtlpEvent {
  std::string name;
  std::uint64_t time = 0;
  boost::json::object attributes;
};

struct OtlpLink {
  std::string trace_id, span_id;  // bytes
  boost::json::object attributes;
};

struct OtlpSpan {
  std::string trace_id, span_id, parent_id;  // bytes; the last may be empty
  std::string name, status_message;
  std::uint64_t start = 0, end = 0;  // nanoseconds since the epoch; end 0: it has not ended
  int status = 0;                    // 0 unset, 1 ok, 2 error
  boost::json::object attributes;
  std::vector<OtlpEvent> events;
  std::vector<OtlpLink> links;
};

// The spans of one resource, and what is known of it.
struct OtlpResource {
  boost::json::object attributes;
  std::vector<OtlpSpan> spans;
};

}  // namespace assay
