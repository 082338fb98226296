#include "storage/store/filter/lexer.hpp"

#include <algorithm>
#include <array>

#include "storage/store/filter/clause.hpp"

namespace assay::filter {
namespace {

using Kind = Token::Kind;

constexpr std::array<std::string_view, 24> keywords = {
    "AND",  "OR",   "NOT",   "IN",    "IS",     "NULL",  "TRUE", "FALSE",  "BETWEEN", "SELECT", "FROM", "WHERE",
    "CASE", "WHEN", "UNION", "LIMIT", "HAVING", "GROUP", "BY",   "EXISTS", "ALL",     "ANY",    "AS",   "ORDER"};
constexpr std::array<std::string_view, 12> builtins = {"TEXT", "TIMESTAMP", "DATE",   "INTEGER", "INT",  "FLOAT",
                                                       "REAL", "BOOLEAN",   "BIGINT", "CHAR",    "BLOB", "VARCHAR"};

constexpr std::size_t unclosed_max = 100;  // parentheses that are looked for

// How many bytes of white space, as Python's regular expressions know it, `text` begins with: of the signs beyond ASCII
// what a page or a chat puts between words in place of a blank.
std::size_t space_size(std::string_view text) {
  constexpr std::array<std::string_view, 19> beyond = {
      "\u0085", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005", "\u2006",
      "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"};
  if (text.empty()) return 0;
  const char c = text.front();
  if (static_cast<unsigned char>(c) < 0x80) return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
  for (const auto space : beyond)
    if (text.starts_with(space)) return space.size();
  return 0;
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
// Letters beyond ASCII are letters.
bool starts_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool in_word(char c) { return starts_word(c) || is_digit(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  std::vector<Token> run() {
    while (skip_space(), at_ < text_.size()) next();
    return std::move(out_);
  }

 private:
  char peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  std::size_t behind_space(std::size_t from) const {
    while (const auto size = space_size(text_.substr(from))) from += size;
    return from;
  }
  void skip_space() { at_ = behind_space(at_); }
  void take(Kind kind, std::size_t size) {
    out_.push_back({kind, std::string(text_.substr(at_, size))});
    at_ += size;
  }

  // One past the closing quote, from `from`, where the opening one stands; npos: it is not closed. A quote is escaped
  // by itself or by a backslash.
  std::size_t closed(std::size_t from) const {
    const char quote = text_[from];
    for (std::size_t i = from + 1; i < text_.size(); ++i) {
      if (text_[i] == '\\' && quote != '`' && i + 1 < text_.size() && text_[i + 1] == quote &&
          closes_later(i + 2, quote)) {
        ++i;
      } else if (text_[i] == quote) {
        if (i + 1 < text_.size() && text_[i + 1] == quote) {
          ++i;
          continue;
        }
        return i + 1;
      }
    }
    return text_.npos;
  }
  bool closes_later(std::size_t from, char quote) const { return text_.find(quote, from) != text_.npos; }

  std::size_t word_end(std::size_t from) const {
    while (from < text_.size() && in_word(text_[from]) && space_size(text_.substr(from)) == 0) ++from;
    return from;
  }

  // A part of a name from `from`: a word, "…" or `…`; npos: there is none.
  std::size_t part_end(std::size_t from) const {
    if (from >= text_.size()) return text_.npos;
    if (text_[from] == '"' || text_[from] == '`') return closed(from);
    const auto end = word_end(from);
    return end > from ? end : text_.npos;
  }
  // The same behind a dot, where it may stand in '…', too, and is no number.
  std::size_t part_behind_dot(std::size_t from) const {
    if (from < text_.size() && text_[from] == '\'') return closed(from);
    const auto end = part_end(from);
    return end != text_.npos && std::all_of(text_.begin() + from, text_.begin() + end, is_digit) ? text_.npos : end;
  }

  void next() {
    const char c = peek();
    if (c == '\'') {
      const auto end = closed(at_);
      return end == text_.npos ? take(Kind::other, 1) : take(Kind::string, end - at_);
    }
    if (c == '(') return parentheses();
    if (c == ';') return take(Kind::end, 1);
    if (c == '<' || c == '>' || c == '=' || c == '~' || c == '!') {
      std::size_t size = 1;
      while (std::string_view("<>=~!").find(peek(size)) != std::string_view::npos && peek(size) != '\0') ++size;
      return take(Kind::comparison, size);
    }
    if (is_digit(c) || ((c == '-' || c == '.') && is_digit(peek(1))) ||
        (c == '-' && peek(1) == '.' && is_digit(peek(2))))
      return number();
    if (starts_word(c) || c == '"' || c == '`') return name();
    if ((c == '$' || c == ':' || c == '?') && in_word(peek(1)) && !(at_ > 0 && in_word(text_[at_ - 1])))
      return take(Kind::operation, word_end(at_ + 1) - at_);  // a place for a value, as $1
    take(Kind::other, 1);
  }

  void parentheses() {
    int depth = 0;
    if (unclosed_ >= unclosed_max) return take(Kind::other, 1);
    for (std::size_t i = at_; i < text_.size(); ++i) {
      if (text_[i] == '\'' || text_[i] == '"') {
        const auto end = closed(i);
        if (end == text_.npos) break;
        i = end - 1;
      } else if (text_[i] == '(') {
        ++depth;
      } else if (text_[i] == ')' && --depth == 0) {
        return take(Kind::list, i + 1 - at_);
      }
    }
    ++unclosed_;
    take(Kind::other, 1);
  }

  void number() {
    std::size_t i = at_ + (peek() == '-' ? 1 : 0);
    bool real = false;
    while (i < text_.size() && is_digit(text_[i])) ++i;
    if (i < text_.size() && text_[i] == '.') {
      real = true;
      ++i;
      while (i < text_.size() && is_digit(text_[i])) ++i;
    }
    if (i + 1 < text_.size() && (text_[i] == 'e' || text_[i] == 'E')) {
      auto j = i + 1;
      if (text_[j] == '-' || text_[j] == '+') ++j;
      if (j < text_.size() && is_digit(text_[j])) {
        real = true;
        while (j < text_.size() && is_digit(text_[j])) ++j;
        i = j;
      }
    }
    // 5x: a name that begins with a digit
    if (const auto end = word_end(i); end > i) return take(Kind::identifier, end - at_);
    take(real ? Kind::real : Kind::integer, i - at_);
  }

  void name() {
    auto end = part_end(at_);
    if (end == text_.npos) return take(Kind::other, 1);
    bool dotted = false;
    while (end < text_.size() && text_[end] == '.') {
      const auto more = part_behind_dot(end + 1);
      dotted = true;
      if (more == text_.npos) {  // the name behind the dot is empty, which is somebody else's to refuse
        ++end;
        break;
      }
      end = more;
    }
    const auto text = text_.substr(at_, end - at_);
    if (!dotted && starts_word(text.front())) {
      const auto word = upper(text);
      if (word == "LIKE" || word == "ILIKE" || word == "RLIKE") return take(Kind::comparison, text.size());
      if (word == "NOT") return not_something();
      if (std::find(keywords.begin(), keywords.end(), word) != keywords.end()) return take(Kind::keyword, text.size());
      if (std::find(builtins.begin(), builtins.end(), word) != builtins.end()) return take(Kind::builtin, text.size());
    }
    // a-b, a/b: arithmetic, which is no name. In a-1 the number is -1.
    const auto goes_on = [&](std::string_view signs) {
      return end + 1 < text_.size() && signs.find(text_[end]) != signs.npos &&
             !(text_[end] == '-' && is_digit(text_[end + 1])) && part_end(end + 1) != text_.npos;
    };
    if (goes_on("-+*/")) {
      while (goes_on("-+*/.")) end = part_end(end + 1);
      return take(Kind::operation, end - at_);
    }
    take(Kind::identifier, text.size());
  }

  // NOT NULL and NOT LIKE are one word each.
  void not_something() {
    const auto from = behind_space(at_ + 3);
    const auto end = word_end(from);
    const auto word = upper(text_.substr(from, end - from));
    const bool like = word == "LIKE" || word == "ILIKE" || word == "RLIKE";
    if (from > at_ + 3 && (word == "NULL" || like)) {
      out_.push_back({like ? Kind::comparison : Kind::keyword, "NOT " + word});
      at_ = end;
      return;
    }
    take(Kind::keyword, 3);
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t unclosed_ = 0;  // each has read to the end of the text
  std::vector<Token> out_;
};

}  // namespace

std::vector<Token> lex(std::string_view text) { return Lexer(text).run(); }

}  // namespace assay::filter
