#include "ops/runtime/clock.hpp"

namespace assay {
namespace {

using namespace std::chrono;

void append_digits(std::string& out, int value, int width) {
  char digits[8];
  for (int i = width - 1; i >= 0; --i, value /= 10) digits[i] = static_cast<char>('0' + value % 10);
  out.append(digits, static_cast<std::size_t>(width));
}

// Reads exactly `width` digits from the front of `text`.
std::optional<int> take_digits(std::string_view& text, std::size_t width) {
  if (text.size() < width) return {};
  int value = 0;
  for (std::size_t i = 0; i < width; ++i) {
    if (text[i] < '0' || text[i] > '9') return {};
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(width);
  return value;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

Instant SystemClock::now() const { return time_point_cast<milliseconds>(system_clock::now()); }

void append_time(std::string& out, Instant at) {
  const auto day = floor<days>(at);
  const year_month_day date{day};
  const hh_mm_ss time{at - day};
  append_digits(out, static_cast<int>(date.year()), 4);
  out += '-';
  append_digits(out, static_cast<int>(static_cast<unsigned>(date.month())), 2);
  out += '-';
  append_digits(out, static_cast<int>(static_cast<unsigned>(date.day())), 2);
  out += 'T';
  append_digits(out, static_cast<int>(time.hours().count()), 2);
  out += ':';
  append_digits(out, static_cast<int>(time.minutes().count()), 2);
  out += ':';
  append_digits(out, static_cast<int>(time.seconds().count()), 2);
  if (const auto ms = static_cast<int>(time.subseconds().count())) {
    out += '.';
    append_digits(out, ms, 3);
  }
  out += 'Z';
}

std::string format_time(Instant at) {
  std::string out;
  append_time(out, at);
  return out;
}

std::optional<Instant> parse_time(std::string_view text) {
  const auto y = take_digits(text, 4);
  if (!y || !take(text, '-')) return {};
  const auto mo = take_digits(text, 2);
  if (!mo || !take(text, '-')) return {};
  const auto d = take_digits(text, 2);
  if (!d || !(take(text, 'T') || take(text, 't'))) return {};
  const auto h = take_digits(text, 2);
  if (!h || !take(text, ':')) return {};
  const auto mi = take_digits(text, 2);
  if (!mi || !take(text, ':')) return {};
  const auto s = take_digits(text, 2);
  if (!s) return {};
  int ms = 0;
  if (take(text, '.')) {
    std::size_t digits = 0;
    while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
    if (digits == 0 || digits > 9) return {};
    for (std::size_t i = 0; i < 3; ++i) ms = ms * 10 + (i < digits ? text[i] - '0' : 0);
    text.remove_prefix(digits);
  }
  minutes offset{0};
  if (!take(text, 'Z') && !take(text, 'z')) {
    const bool minus = !text.empty() && text.front() == '-';
    if (!take(text, '+') && !take(text, '-')) return {};
    const auto oh = take_digits(text, 2);
    if (!oh || !take(text, ':')) return {};
    const auto om = take_digits(text, 2);
    if (!om || *oh > 23 || *om > 59) return {};
    offset = (minus ? -1 : 1) * (hours{*oh} + minutes{*om});
  }
  const year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!text.empty() || !date.ok() || *h > 23 || *mi > 59 || *s > 59) return {};
  return Instant{sys_days{date}.time_since_epoch() + hours{*h} + minutes{*mi} + seconds{*s} + milliseconds{ms} -
                 offset};
}

}  // namespace assay
