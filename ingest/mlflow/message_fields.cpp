#include "ingest/mlflow/message_fields.hpp"

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

}  // namespace assay
