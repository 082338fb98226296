#include "ingest/privacy/phones.hpp"

#include <algorithm>
#include <optional>

namespace assay {
namespace {

// A date has fewer digits in its first groups. Five pairs are a French number.
constexpr const char* phone =
    R"(\b0[1-9](?:[ .\x{a0}\x{202f}-][0-9]{2}){4}\b)"
    R"(|(?:\+|\b00)[0-9][0-9 ()./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]{5,20}[0-9])"
    R"(|\(?\b[0-9]{2,5}\)?[ ./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]{1,2}[0-9]{3,4})"
    R"([ ./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]?[0-9]{3,6}\b)";

// The longest beginning of `found` that ends where its digits do and has 7 to 15 of them; with 00 before it 10 at
// least, and no letter behind it.
std::optional<std::size_t> end_of_phone(std::string_view text, DigitMatch found) {
  std::optional<std::size_t> end;
  const bool abroad = text.substr(found.from).starts_with("00");
  int digits = 0;
  for (auto at = found.from; at < found.to; ++at) {
    if (!is_digit(text[at])) continue;
    if (++digits > 15) break;
    if (digits < (abroad ? 10 : 7)) continue;
    const char next = at + 1 < text.size() ? text[at + 1] : ' ';
    if (!(abroad ? is_word(next) : is_digit(next))) end = at + 1;
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

std::size_t digits_at(std::string_view text, std::size_t at) {
  std::size_t n = 0;
  while (at + n < text.size() && n < 4 && is_digit(text[at + n])) ++n;
  return n;
}

// Grouped by thousands, as 12 345 678 and 1.234.567.890 are, with what stands beside it; 912 345 678 may be dialled.
bool is_grouped(std::string_view text, DigitMatch number) {
  constexpr int groups_max = 8;
  auto at = number.from;
  const auto before = text.substr(at + digits_at(text, at));
  const auto separator = before.substr(0, separator_bytes(before));
  if (separator.empty()) return false;
  for (int groups = 0; groups < groups_max && text.substr(0, at).ends_with(separator); ++groups) {
    auto from = at - separator.size();
    while (from > 0 && is_digit(text[from - 1]) && at - from < separator.size() + 4) --from;
    const auto digits = at - separator.size() - from;
    const bool of_another = from > 0 && std::string_view(".,:-/").find(text[from - 1]) != std::string_view::npos &&
                            !text.substr(0, from).ends_with(separator);
    if (digits == 0 || digits > 3 || of_another) break;
    at = from;
  }
  if (text[at] == '0') return false;
  const auto first = digits_at(text, at);
  if (first == 0 || first > 3) return false;
  int groups = 1;
  for (at += first; groups < groups_max && text.substr(at).starts_with(separator); ++groups) {
    const auto digits = digits_at(text, at + separator.size());
    if (digits == 0) break;
    if (digits != 3) return false;
    at += separator.size() + digits;
  }
  return first < 3 || groups > 3;
}

// Pairs go on: it is a list, or the digits of something else.
bool is_of_more_pairs(std::string_view text, DigitMatch number) {
  const bool pairs = number.to - number.from == 14 && separator_bytes(text.substr(number.from + 2)) == 1;
  if (!pairs) return false;
  const auto rest = text.substr(number.to);
  const bool before = number.from > 1 &&
                      std::string_view("-.:/").find(text[number.from - 1]) != std::string_view::npos &&
                      is_word(text[number.from - 2]);
  return before || (rest.size() > 1 && (rest[0] == '-' || rest[0] == '.') && is_word(rest[1]));
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

std::vector<DigitMatch> PhoneFinder::operator()(std::string_view text) const {
  std::vector<DigitMatch> out;
  std::size_t from = 0, longer_to = 0;            // behind the last part of a longer number
  std::optional<std::vector<DigitMatch>> others;  // few texts have numbers at all
  // Where the first number of another kind begins that `found` touches, or else its end.
  const auto end_before_others = [&](DigitMatch found) {
    if (!others) others = others_(text);
    const auto touched = std::partition_point(others->begin(), others->end(),
                                              [&](const DigitMatch& other) { return other.to <= found.from; });
    return touched == others->end() ? found.to : std::min(found.to, touched->from);
  };
  re2::StringPiece match;
  while (pattern_.Match({text.data(), text.size()}, from, text.size(), RE2::UNANCHORED, &match, 1)) {
    DigitMatch found{static_cast<std::size_t>(match.data() - text.data()), 0};
    found.to = found.from + match.size();
    found.to = end_before_others(found);
    if (const auto end = end_of_phone(text, found)) {
      const auto number = text.substr(found.from, *end - found.from);
      const bool part = found.from < longer_to || goes_on(text.substr(*end)) || has_fraction(number);
      const DigitMatch whole{found.from, *end};
      const bool none = is_grouped(text, whole) || is_of_more_pairs(text, whole);
      if (!none && (!part || speaks_for_itself(number))) {
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
