#include "ingest/privacy/phones.hpp"

#include <algorithm>
#include <optional>

namespace assay {
namespace {

// A date has fewer digits in its first groups.
constexpr const char* phone =
    R"((?:\+|\b00)[0-9][0-9 ()./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]{5,20}[0-9])"
    R"(|\(?\b[0-9]{2,5}\)?[ ./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]{1,2}[0-9]{3,4})"
    R"([ ./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]?[0-9]{3,6}\b)";

// The longest beginning of `found` that ends where its digits do and has 7 to 15 of them.
std::optional<std::size_t> end_of_phone(std::string_view text, Found found) {
  std::optional<std::size_t> end;
  int digits = 0;
  for (auto at = found.from; at < found.to; ++at) {
    if (!is_digit(text[at])) continue;
    if (++digits > 15) break;
    if (digits >= 7 && (at + 1 == text.size() || !is_digit(text[at + 1]))) end = at + 1;
  }
  return end;
}

// More digits follow, not only one or two, or a letter after a hyphen: what was found is the beginning of a longer
// number, or a part of an id.
bool goes_on(std::string_view rest) {
  if (rest.size() > 1 && rest[0] == '-' && is_word(rest[1]) && !is_digit(rest[1])) return true;
  rest.remove_prefix(rest.starts_with('/') ? 1 : separator_bytes(rest));
  return std::find_if_not(rest.begin(), rest.end(), is_digit) - rest.begin() >= 3;
}

// A telephone number whatever stands beside it: +49 30…, (030)…, 030…, 555-123-4567.
bool speaks_for_itself(std::string_view number) {
  if (number[0] == '+' || number[0] == '(' || number[0] == '0') return true;
  return number.size() == 12 && !is_digit(number[3]) && !is_digit(number[7]);
}

// 52.520008
bool has_fraction(std::string_view number) {
  return std::count_if(number.begin(), number.end(), is_digit) + 1 == std::ssize(number) &&
         number.find('.') != number.npos;
}

}  // namespace

PhoneFinder::PhoneFinder() : pattern_(phone) {}

std::vector<Found> PhoneFinder::operator()(std::string_view text) const {
  std::vector<Found> out;
  std::size_t from = 0, longer_to = 0;  // behind the last part of a longer number
  re2::StringPiece match;
  while (pattern_.Match({text.data(), text.size()}, from, text.size(), RE2::UNANCHORED, &match, 1)) {
    Found found{static_cast<std::size_t>(match.data() - text.data()), 0};
    found.to = found.from + match.size();
    if (const auto end = end_of_phone(text, found)) {
      const auto number = text.substr(found.from, *end - found.from);
      const bool part = found.from < longer_to || goes_on(text.substr(*end)) || has_fraction(number);
      if (!part || speaks_for_itself(number)) {
        out.push_back({found.from, *end});
        from = *end;
        continue;
      }
      longer_to = *end;
    }
    from = found.from + 1;  // on from the next group
    while (from < text.size() && is_digit(text[from])) ++from;
  }
  return out;
}

}  // namespace assay
