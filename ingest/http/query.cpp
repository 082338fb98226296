#include "ingest/http/query.hpp"

#include <simdjson.h>

#include <algorithm>

#include "ingest/http/percent.hpp"

namespace assay {

// By hand: Boost.URL 1.81's parse_query reads past the end of a view that no zero byte follows.
Result<Query, Rejection> Query::parse_repeating(std::string_view raw, std::initializer_list<std::string_view> keys) {
  Query out;
  while (!raw.empty()) {
    const auto pair = raw.substr(0, raw.find('&'));
    raw.remove_prefix(std::min(raw.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const auto equals = pair.find('=');
    auto key = percent_decoded(pair.substr(0, equals), true);
    auto value = percent_decoded(equals == pair.npos ? std::string_view() : pair.substr(equals + 1), true);
    if (!key || !value) return Rejection{400, "query", "a percent sign in it has no two hex digits behind it"};
    if (!simdjson::validate_utf8(*key) || !simdjson::validate_utf8(*value))
      return Rejection{400, "query", "it is not UTF-8"};
    if (out.get(*key) && std::find(keys.begin(), keys.end(), *key) == keys.end())
      return Rejection{400, std::move(*key), "it is given twice"};
    out.values_.emplace_back(std::move(*key), std::move(*value));
  }
  return out;
}

Result<Query, Rejection> Query::parse(std::string_view raw) { return parse_repeating(raw, {}); }

std::vector<std::string> Query::all(std::string_view key) const {
  std::vector<std::string> out;
  for (const auto& [name, value] : values_)
    if (name == key) out.push_back(value);
  return out;
}

std::optional<std::string_view> Query::get(std::string_view key) const {
  for (const auto& [name, value] : values_)
    if (name == key) return value;
  return {};
}

}  // namespace assay
