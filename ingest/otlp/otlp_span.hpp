#pragma once
// One span of OTLP, whatever it was encoded in.
#include <boost/json/object.hpp>
#include <cstddef>
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

// How many more a request may have. An empty one is two bytes in its body, and some hundred in memory.
struct OtlpRoom {
  std::size_t spans, parts;  // parts: events, links and resources
  bool is_full = false;      // that is why it was not read

  bool take_span() { return take(spans); }
  bool take_part() { return take(parts); }

 private:
  bool take(std::size_t& left) {
    if (left == 0) is_full = true;
    return left > 0 && left-- > 0;
  }
};

}  // namespace assay
