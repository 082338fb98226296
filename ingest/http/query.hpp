#pragma once
// The query of a target, decoded: each key once, valid UTF-8.
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ingest/http/error_response.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

class Query {
 public:
  // Refuses (400) a malformed query, a key given twice, and what is not UTF-8 when decoded.
  static Result<Query, Rejection> parse(std::string_view raw);
  // The same, but some keys may stand there as often as they like.
  static Result<Query, Rejection> parse_repeating(std::string_view raw, std::initializer_list<std::string_view> keys);
  // Valid as long as the Query.
  std::optional<std::string_view> get(std::string_view key) const;  // the first
  std::vector<std::string> all(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, std::string>> values_;
};

}  // namespace assay
