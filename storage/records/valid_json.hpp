#pragma once
// On demand, simdjson checks of a value that is passed over only where it ends. What is kept raw, and written again,
// has to be asked this.
#include <simdjson.h>

#include <string_view>

namespace assay {

// Whether the whole text is one valid JSON value, numbers and strings included.
inline bool is_json(std::string_view text) {
  thread_local simdjson::dom::parser parser;
  return !parser.parse(text.data(), text.size()).error();
}

}  // namespace assay
