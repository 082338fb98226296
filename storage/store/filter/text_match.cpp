#include "storage/store/filter/text_match.hpp"

#include <algorithm>
#include <boost/locale/encoding_utf.hpp>
#include <boost/regex.hpp>
#include <locale>
#include <optional>

#include "ops/runtime/parse_number.hpp"

namespace assay::filter {
namespace {

// One past the character at `at`: _ stands for one character, not for one byte.
std::size_t next_character(std::string_view text, std::size_t at) {
  ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

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

// In place, going back to the last % only: time is bounded by the product of the two sizes.
bool like(std::string_view text, std::string_view pattern) {
  std::size_t t = 0, p = 0, star = pattern.npos, mark = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      mark = t;
    } else if (p < pattern.size() && pattern[p] == '_') {
      t = next_character(text, t);
      ++p;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++t;
      ++p;
    } else if (star != pattern.npos) {
      p = star + 1;
      t = mark = next_character(text, mark);
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
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
  if (op_ == "LIKE") return like(text, value_);
  if (op_ == "ILIKE") return like(lower(text), value_);
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
  return refusal("The regular expression '" + value_ + "' is too complex for what it is searched in");
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
