#pragma once
// A complete answer: what a handler returns. The session adds Server, Date, Content-Length and Connection, and writes
// it in one go.
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ops/runtime/result.hpp"

namespace assay {

// Media types that are used in several places.
inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view problem_type = "application/problem+json";
inline constexpr std::string_view text_type = "text/plain; charset=utf-8";

struct Response {
  unsigned status = 200;
  std::string_view content_type = json_type;  // a literal, or what outlives the answer
  // Names are literals; a value with a control character in it is left out (nobody can split an answer).
  std::vector<std::pair<std::string_view, std::string>> headers = {};
  std::string body = {};
  // In place of body: a text of many answers, of which a thousand slow readers then keep one copy.
  std::shared_ptr<const std::string> shared = {};
  error_code cause = {};  // of a 503, as far as it is known: it is counted by that

  std::string_view text() const { return shared ? std::string_view(*shared) : std::string_view(body); }
};

}  // namespace assay
