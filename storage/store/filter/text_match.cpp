#include "storage/store/filter/text_match.hpp"

#include <string.h>  // memmem

#include <algorithm>
#include <boost/locale/encoding_utf.hpp>
#include <boost/regex.hpp>
#include <locale>
#include <optional>
#include <vector>

#include "ops/runtime/parse_number.hpp"

namespace assay::filter {
namespace {

// One past the character at `at`: _ stands for one character, not for one byte.
std::size_t next_character(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

// What stands between two %.
class LikePart {
 public:
  explicit LikePart(std::string_view part) : part_(part), plain_(part.find('_') == part.npos) {}

  // Where it ends in `text` when it stands at `at`; npos: it does not, or no step is left.
  std::size_t match_at(std::string_view text, std::size_t at, std::size_t& steps) const {
    if (plain_) return text.substr(at).starts_with(part_) ? at + part_.size() : text.npos;
    for (const char c : part_) {
      if (steps == 0 || at >= text.size()) return text.npos;
      --steps;
      if (c == '_')
        at = next_character(text, at);
      else if (c == text[at])
        ++at;
      else
        return text.npos;
    }
    return at;
  }

  // Of where it stands first from `at` on. Without a _ the time is that of the text alone.
  std::size_t end_of_next(std::string_view text, std::size_t at, std::size_t& steps) const {
    if (plain_) {
      const auto* found = ::memmem(text.data() + at, text.size() - at, part_.data(), part_.size());
      return found ? static_cast<std::size_t>(static_cast<const char*>(found) - text.data()) + part_.size() : text.npos;
    }
    for (; at < text.size() && steps > 0; at = next_character(text, at))
      if (const auto end = match_at(text, at, steps); end != text.npos) return end;
    return text.npos;
  }

  // Whether the text ends with it, behind `at`.
  bool ends(std::string_view text, std::size_t at, std::size_t& steps) const {
    if (plain_) return text.substr(at).ends_with(part_);
    auto begin = text.size();
    for (auto left = characters(part_); left > 0; --left) {
      if (begin <= at) return false;
      --begin;
      while (begin > at && is_inside(text[begin])) --begin;
    }
    return match_at(text, begin, steps) == text.size();
  }

 private:
  static bool is_inside(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }
  static std::size_t characters(std::string_view part) {
    return part.size() - static_cast<std::size_t>(std::ranges::count_if(part, &LikePart::is_inside));
  }

  std::string_view part_;
  bool plain_;
};

// At least one part; each % ends one.
class LikePattern {
 public:
  explicit LikePattern(std::string_view pattern) {
    for (;;) {
      const auto end = pattern.find('%');
      parts_.emplace_back(pattern.substr(0, end));
      if (end == pattern.npos) return;
      pattern.remove_prefix(end + 1);
    }
  }
  std::size_t size() const { return parts_.size(); }
  const LikePart& first() const { return parts_.front(); }
  const LikePart& last() const { return parts_.back(); }
  const LikePart& operator[](std::size_t i) const { return parts_[i]; }

 private:
  std::vector<LikePart> parts_;
};

// Patterns are about characters, so they are matched as such.
std::wstring characters_of(std::string_view text) {
  return boost::locale::conv::utf_to_utf<wchar_t>(text.data(), text.data() + text.size());
}

// Knows the letters of all scripts: the process's own locale may know those of ASCII only.
const std::locale& letters() {
  static const std::locale locale("C.UTF-8");
  return locale;
}

// Python names a group (?P<name>…) and refers to it by (?P=name).
std::string with_perls_groups(std::string_view pattern) {
  std::string out;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const auto rest = pattern.substr(i);
    if (rest.starts_with("(?P<")) {
      out += "(?<";
      i += 3;
    } else if (rest.starts_with("(?P=")) {
      const auto name = rest.substr(4, rest.find(')') - 4);
      out.append("\\k{").append(name).append("}");
      i += 4 + name.size();
    } else {
      out += pattern[i];
      if (pattern[i] == '\\' && i + 1 < pattern.size()) out += pattern[++i];
    }
  }
  return out;
}

// As Python searches: . is no end of a line, ^ and $ are the ends of the text.
std::shared_ptr<const boost::wregex> regex_of(std::string_view pattern) {
  auto regex = std::make_shared<boost::wregex>();
  regex->imbue(letters());
  regex->assign(characters_of(with_perls_groups(pattern)),
                boost::regex::perl | boost::regex::no_mod_m | boost::regex::no_mod_s);
  return regex;
}

bool ordered(int order, std::string_view op) {
  if (op == "=") return order == 0;
  if (op == "!=") return order != 0;
  if (op == "<") return order < 0;
  if (op == "<=") return order <= 0;
  if (op == ">") return order > 0;
  if (op == ">=") return order >= 0;
  return false;
}

}  // namespace

bool like(std::string_view text, std::string_view pattern, std::size_t& steps) {
  const LikePattern parts(pattern);
  if (parts.size() == 1) return parts.first().match_at(text, 0, steps) == text.size();
  auto at = parts.first().match_at(text, 0, steps);
  for (std::size_t i = 1; i + 1 < parts.size() && at != text.npos; ++i) at = parts[i].end_of_next(text, at, steps);
  return at != text.npos && parts.last().ends(text, at, steps);
}

bool like(std::string_view text, std::string_view pattern) {
  auto steps = like_steps_max;
  return like(text, pattern, steps);
}

Result<TextMatch, Refusal> TextMatch::make(std::string_view op, const Value& value) {
  TextMatch match;
  match.op_ = op;
  if (const auto* text = std::get_if<std::string>(&value)) match.value_ = *text;
  if (const auto* texts = std::get_if<std::vector<std::string>>(&value)) match.values_ = *texts;
  std::sort(match.values_.begin(), match.values_.end());
  if (const auto* n = std::get_if<std::int64_t>(&value)) match.value_ = std::to_string(*n);
  if (op == "ILIKE") match.value_ = lower(match.value_);
  if (op == "RLIKE") try {
      match.regex_ = regex_of(match.value_);
    } catch (const std::runtime_error&) {
      return refusal("Invalid regular expression '" + match.value_ + "'");
    }
  return match;
}

bool TextMatch::operator()(std::string_view text) const {
  if (op_ == "LIKE" || op_ == "ILIKE") {
    auto steps = steps_ + text.size();  // to go through each text once is free
    const bool found = !gave_up_ && (op_ == "LIKE" ? like(text, value_, steps) : like(lower(text), value_, steps));
    steps_ = std::min(steps_, steps);
    gave_up_ = gave_up_ || steps_ == 0;
    return found && !gave_up_;
  }
  if (op_ == "IN" || op_ == "NOT IN") return std::binary_search(values_.begin(), values_.end(), text) == (op_ == "IN");
  if (op_ == "RLIKE") try {
      return !gave_up_ && boost::regex_search(characters_of(text), *regex_);
    } catch (const std::runtime_error&) {
      gave_up_ = true;
      return false;
    }
  return ordered(text.compare(value_), op_);
}

std::optional<Refusal> TextMatch::problem() const {
  if (!gave_up_) return {};
  const std::string_view what = op_ == "RLIKE" ? "regular expression" : "pattern";
  return refusal("The " + std::string(what) + " '" + value_ + "' is too complex for what it is searched in");
}

bool compare_number(double left, std::string_view op, const Value& right) {
  double number = 0;
  if (const auto* n = std::get_if<std::int64_t>(&right)) {
    number = static_cast<double>(*n);
  } else if (const auto* d = std::get_if<double>(&right)) {
    number = *d;
  } else if (const auto* text = std::get_if<std::string>(&right)) {
    const auto read = parse_number<double>(*text);
    if (!read) return op == "!=" || op == "<" || op == "<=";
    number = *read;
  } else {
    return false;
  }
  return ordered(left < number ? -1 : left > number ? 1 : 0, op);
}

}  // namespace assay::filter
