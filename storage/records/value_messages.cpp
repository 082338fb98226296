#include "storage/records/value_messages.hpp"

#include <algorithm>

namespace assay {

int messages_of(const boost::json::value& value) {
  int inner = 0;
  if (const auto* list = value.if_array()) {
    for (const auto& element : *list) inner = std::max(inner, messages_of(element));
    return inner + 2;
  }
  const auto* object = value.if_object();
  if (!object) return 0;
  for (const auto& [key, element] : *object) inner = std::max(inner, messages_of(element));
  return inner + 3;
}

}  // namespace assay
