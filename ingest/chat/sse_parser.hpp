#pragma once
// Server-sent events out of bytes, as the WHATWG standard reads them: lines end with LF, CR or CRLF, wherever the
// bytes are cut; comments are skipped; several data lines are one event's. Only the data is kept.
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace assay {

class SseParser {
 public:
  explicit SseParser(std::size_t event_bytes_max = 1u << 20) : event_bytes_max_(event_bytes_max) {}

  // False when an event is over its bound: nothing more can be made of this stream.
  bool feed(std::string_view bytes);
  // The data of the next complete event, if there is one.
  std::optional<std::string> next();

 private:
  void end_line();

  std::size_t event_bytes_max_;
  std::string line_, data_;
  bool first_line_ = true, after_cr_ = false, has_data_ = false;
  std::deque<std::string> events_;
};

}  // namespace assay
