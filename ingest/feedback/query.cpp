#include "ingest/feedback/query.hpp"

#include <simdjson.h>

#include <boost/url/parse_query.hpp>

namespace assay {

Result<Query, Rejection> Query::parse(std::string_view raw) {
  Query out;
  if (raw.empty()) return out;
  const auto params = boost::urls::parse_query(raw);
  if (!params) return Rejection{400, "query", "it is malformed"};
  boost::urls::encoding_opts decode;
  decode.space_as_plus = true;
  for (const auto& param : *params) {
    std::string key = param.key.decode(decode), value = param.has_value ? param.value.decode(decode) : std::string();
    if (!simdjson::validate_utf8(key) || !simdjson::validate_utf8(value))
      return Rejection{400, "query", "it is not UTF-8"};
    if (out.get(key)) return Rejection{400, key, "it is given twice"};
    out.values_.emplace_back(std::move(key), std::move(value));
  }
  return out;
}

std::optional<std::string_view> Query::get(std::string_view key) const {
  for (const auto& [name, value] : values_)
    if (name == key) return value;
  return {};
}

}  // namespace assay
