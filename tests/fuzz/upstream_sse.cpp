// What a model's server sends: events are the same however the bytes are cut, and each is read or refused.
#include "ingest/chat/openai_chunk.hpp"
#include "ingest/chat/sse_parser.hpp"
#include "tests/fuzz/target.hpp"

namespace assay::fuzz {
namespace {

struct Read {
  bool whole = true;
  std::string events;
};

Read read(std::string_view bytes, std::size_t piece) {
  SseParser parser(4096);
  Read out;
  while (out.whole && !bytes.empty()) {
    out.whole = parser.feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    while (auto event = parser.next()) {
      (void)parse_openai_chunk(*event);
      out.events += *event + '\x1e';
    }
  }
  return out;
}

}  // namespace

void one(std::string_view bytes) {
  const auto at_once = read(bytes, bytes.size() + 1);
  const auto in_bytes = read(bytes, 1);
  must(at_once.whole == in_bytes.whole, "a stream is too large however it is cut");
  if (at_once.whole) must(at_once.events == in_bytes.events, "events are the same however they are cut");
  (void)openai_failure(429, bytes);
}

}  // namespace assay::fuzz
