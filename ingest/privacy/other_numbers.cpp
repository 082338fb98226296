#include "ingest/privacy/other_numbers.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr const char* other =
    // 2026-11-29T00:14:07.159+08:00, 2026-11-29-00-14-07, 00:14:07,159
    R"((?:19|20)[0-9]{2}-[01][0-9]-[0-3][0-9](?:-[0-2][0-9]-[0-5][0-9]-[0-6][0-9]|[T ][0-2][0-9]:[0-5][0-9](?::[0-6][0-9](?:[.,][0-9]{1,9})?)?(?: ?[+-][0-2][0-9]:?[0-5][0-9])?)?)"
    R"(|[0-2][0-9]:[0-5][0-9]:[0-6][0-9](?:[.,][0-9]{1,9})?(?: ?[+-][0-2][0-9]:?[0-5][0-9])?)"
    // 192.168.1.20:8080
    R"(|(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?::[0-9]{1,5})?)"
    R"(|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})"
    R"(|arn:[a-z-]{1,20}:[a-z0-9-]{0,30}:[a-z0-9-]{0,30}:[0-9]{12})"
    // 2019-2020-2021, and what was said (2019)
    R"(|(?:19|20)[0-9]{2}(?:[ /,–-](?:19|20)[0-9]{2}){2,8}|\((?:19|20)[0-9]{2}\))"
    R"(|97[89][ -][0-9]{1,5}[ -][0-9]{1,7}[ -][0-9]{1,7}[ -][0-9])"
    R"(|(?i:ISBN)(?:-1[03])?:? ?[0-9][0-9 -]{7,15}[0-9Xx])";

// Nothing goes on on either side.
bool stands_alone(std::string_view text, DigitMatch found) {
  const auto rest = text.substr(found.to);
  const bool more = rest.size() > 1 && (rest[0] == '.' || rest[0] == '-') && is_digit(rest[1]);
  if (more || (!rest.empty() && is_word(rest[0]) && rest[0] != 'Z')) return false;
  if (found.from == 0) return true;
  const char before = text[found.from - 1];
  if (before == '.' || before == '-') return found.from == 1 || !is_digit(text[found.from - 2]);
  return before != '+' && (before == 'T' || !is_word(before));
}

}  // namespace

OtherNumberFinder::OtherNumberFinder() : pattern_(other) {}

std::vector<DigitMatch> OtherNumberFinder::operator()(std::string_view text) const {
  std::vector<DigitMatch> out;
  std::size_t from = 0;
  re2::StringPiece match;
  while (pattern_.Match({text.data(), text.size()}, from, text.size(), RE2::UNANCHORED, &match, 1)) {
    const auto at = static_cast<std::size_t>(match.data() - text.data());
    const DigitMatch found{at, at + match.size()};
    if (stands_alone(text, found)) {
      out.push_back(found);
      from = found.to;
      continue;
    }
    from = at + 1;  // on from the next group
    while (from < text.size() && is_word(text[from]) && is_word(text[from - 1])) ++from;
  }
  return out;
}

}  // namespace assay
