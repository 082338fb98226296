#include "ingest/mlflow/message_fields.hpp"

#include <algorithm>

namespace assay {

std::string snake(std::string_view name) {
  std::string out;
  for (const auto c : name) {
    if (c >= 'A' && c <= 'Z') {
      out += '_';
      out += static_cast<char>(c + 32);
    } else {
      out += c;
    }
  }
  return out;
}

boost::json::object fields_of(const boost::json::object& message) {
  boost::json::object out;
  for (const auto& [name, value] : message)
    if (!value.is_null()) out[snake({name.data(), name.size()})] = value;
  return out;
}

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
