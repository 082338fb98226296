#include "storage/store/filter/clause.hpp"

#include <algorithm>
#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <cstdint>
#include <optional>

#include "ops/runtime/base64.hpp"
#include "storage/records/python_text.hpp"
#include "storage/records/utf8.hpp"
#include "storage/store/filter/lexer.hpp"

namespace assay::filter {
namespace {

constexpr std::size_t text_bytes_max = 64u << 10;
constexpr std::size_t comparisons_max = 64;

Operand operand_of(const Token& token) {
  using Kind = Operand::Kind;
  const auto kind = token.kind == Token::Kind::identifier ? Kind::identifier
                    : token.kind == Token::Kind::string   ? Kind::string
                    : token.kind == Token::Kind::integer  ? Kind::integer
                    : token.kind == Token::Kind::real     ? Kind::real
                    : token.kind == Token::Kind::list     ? Kind::list
                                                          : Kind::other;
  return {kind, token.text};
}

bool is_operand(const Token& token) {
  return operand_of(token).kind != Operand::Kind::other || token.kind == Token::Kind::operation ||
         (token.kind == Token::Kind::keyword && upper(token.text) == "NULL");
}

bool is_word(const std::vector<Token>& tokens, std::size_t at, std::string_view word) {
  return at < tokens.size() && tokens[at].kind == Token::Kind::keyword && upper(tokens[at].text) == word;
}

// A name behind a name is its alias in SQL, and here a part of it: tags.a b is the tag "a b". Comparisons come first.
std::vector<Token> with_aliases(const std::vector<Token>& tokens) {
  std::vector<Token> out;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    out.push_back(tokens[i]);
    const auto is_name = [&](std::size_t at) {
      return at < tokens.size() && tokens[at].kind == Token::Kind::identifier;
    };
    const auto compares = [&](std::size_t at) {
      return at < tokens.size() && tokens[at].kind == Token::Kind::comparison;
    };
    if (is_name(i) && is_name(i + 1) && !compares(i + 2) && !(i > 0 && compares(i - 1)))
      out.back().text += " " + tokens[++i].text;
  }
  return out;
}

}  // namespace

std::string upper(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return out;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

namespace {
bool wrapped(std::string_view text, char quote) {
  return text.size() >= 2 && text.front() == quote && text.back() == quote;
}
}  // namespace

std::string without_backticks(std::string_view text) {
  return std::string(wrapped(text, '`') ? text.substr(1, text.size() - 2) : text);
}

std::string without_quotes(std::string_view text) {
  return std::string(wrapped(text, '\'') || wrapped(text, '"') ? text.substr(1, text.size() - 2) : text);
}

std::string set_text(std::vector<std::string_view> names) {
  std::sort(names.begin(), names.end());
  std::string out = "{";
  for (const auto name : names) {
    if (out.size() > 1) out += ", ";
    out.append("'").append(name).append("'");
  }
  return out += "}";
}

Result<std::vector<Comparison>, Refusal> parse_comparisons(std::string_view text, const Style& style) {
  std::vector<Comparison> out;
  if (text.empty()) return out;
  if (text.size() > text_bytes_max) return refusal("The filter is longer than 65536 bytes.");
  const auto tokens = with_aliases(lex(text));
  if (tokens.empty()) return refusal("Invalid filter '" + std::string(text) + "'. Could not be parsed.");
  std::vector<std::string> invalid;
  std::optional<std::size_t> nameless;  // the first comparison of what has no name
  const auto take_invalid = [&](const Token& token) {
    invalid.push_back(style.quoted_invalids ? "'" + token.text + "'" : token.text);
  };
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto& left = tokens[i];
    if (is_word(tokens, i, "AND")) continue;
    if (left.kind == Token::Kind::end && i + 1 < tokens.size())
      return refusal("Search filter contained multiple expression '" + std::string(text) +
                     "'. Provide AND-ed expression list.");
    const bool bare_time = style.timestamp_is_bare && left.kind == Token::Kind::builtin &&
                           (left.text == "timestamp" || left.text == "timestamp_ms");
    if (i + 2 < tokens.size() && tokens[i + 1].kind == Token::Kind::comparison &&
        ((is_operand(left) && is_operand(tokens[i + 2])) ||
         (bare_time && tokens[i + 2].kind == Token::Kind::integer))) {
      if (left.kind != Token::Kind::identifier && !bare_time && !nameless) nameless = i;
      out.push_back({{Operand::Kind::identifier, left.text}, tokens[i + 1].text, operand_of(tokens[i + 2])});
      i += 2;
    } else if (left.kind == Token::Kind::identifier && is_word(tokens, i + 1, "IN") && i + 2 < tokens.size() &&
               tokens[i + 2].kind == Token::Kind::list) {
      out.push_back({operand_of(left), "IN", operand_of(tokens[i + 2])});
      i += 2;
    } else if (left.kind == Token::Kind::identifier && is_word(tokens, i + 1, "NOT") && is_word(tokens, i + 2, "IN") &&
               i + 3 < tokens.size() && tokens[i + 3].kind == Token::Kind::list) {
      out.push_back({operand_of(left), "NOT IN", operand_of(tokens[i + 3])});
      i += 3;
    } else if (left.kind == Token::Kind::identifier && is_word(tokens, i + 1, "IS") &&
               (is_word(tokens, i + 2, "NULL") || is_word(tokens, i + 2, "NOT NULL"))) {
      out.push_back({operand_of(left), is_word(tokens, i + 2, "NULL") ? "IS NULL" : "IS NOT NULL", {}});
      i += 2;
    } else if (bare_time && i + 2 < tokens.size()) {
      // MLflow's server says the first of the three twice.
      for (const auto at : {i, i + 1, i + 2, i})
        if (!is_word(tokens, at, "AND")) take_invalid(tokens[at]);
      i += 2;
    } else {
      take_invalid(left);
    }
  }
  if (!invalid.empty()) {
    std::string list;
    for (const auto& one : invalid) list += (list.empty() ? "" : ", ") + one;
    return refusal("Invalid clause(s) in filter string: " + list);
  }
  if (nameless)
    return refusal("Invalid comparison clause. Expected 'Identifier' found '" + tokens[*nameless].text + "'");
  if (out.size() > comparisons_max) return refusal("The filter has more than 64 comparisons.");
  return out;
}

Result<std::string, Refusal> quoted_value(const Operand& operand) {
  const std::string_view text = operand.text;
  if (wrapped(text, '\'') || wrapped(text, '"')) return std::string(text.substr(1, text.size() - 2));
  return refusal("Parameter value is either not quoted or unidentified quote types used for string value " +
                 operand.text + ". Use either single or double quotes.");
}

namespace {

// What Python makes of a backslash and `text` behind it, as far as that belongs to it: how much it is. 0: Python takes
// it for an error (or, of \N{…}, we do).
std::size_t append_escaped(std::string& out, std::string_view text) {
  constexpr std::string_view plain = "\\'\"abfnrtv", meant = "\\'\"\a\b\f\n\r\t\v";
  const char c = text.front();
  if (const auto at = plain.find(c); at != plain.npos) return out += meant[at], 1;
  if (c == '\n') return 1;
  const bool octal = c >= '0' && c <= '7';
  if (!octal && c != 'x' && c != 'u' && c != 'U') {
    if (c == 'N') return 0;
    return out += '\\', out += c, 1;
  }
  const auto digits = octal ? std::min(text.find_first_not_of("01234567"), std::min<std::size_t>(3, text.size()))
                            : (c == 'x'   ? 2u
                               : c == 'u' ? 4u
                                          : 8u);
  const std::size_t from = octal ? 0 : 1;
  if (text.size() < from + digits) return 0;
  std::uint32_t code = 0;
  const auto* end = text.data() + from + digits;
  if (const auto [stop, ec] = std::from_chars(text.data() + from, end, code, octal ? 8 : 16);
      ec != std::errc() || stop != end)
    return 0;
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return 0;
  append_utf8(out, code);
  return from + digits;
}

}  // namespace

// What Python's literal_eval makes of it: strings, with escapes, joined where they stand side by side.
Result<std::vector<std::string>, Refusal> list_value(const Operand& operand) {
  const auto ill_formed = refusal(
      "While parsing a list in the query, expected a non-empty list of string values, but got ill-formed list.");
  const auto mixed = refusal(
      "While parsing a list in the query, expected string value, punctuation, or whitespace, but got different type "
      "in list: " +
      operand.text);
  std::vector<std::string> out;
  std::string_view rest(operand.text);
  rest = rest.substr(1, rest.size() - 2);
  bool open = false;  // a string stands before, without a comma
  while (!rest.empty()) {
    const char c = rest.front();
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      rest.remove_prefix(1);
    } else if (c == ',') {
      if (!open) return ill_formed;
      open = false;
      rest.remove_prefix(1);
    } else if (c == '\'' || c == '"') {
      std::string value;
      std::size_t i = 1;
      for (; i < rest.size() && rest[i] != c; ++i) {
        if (rest[i] != '\\' || i + 1 >= rest.size()) {
          value += rest[i];
        } else if (const auto taken = append_escaped(value, rest.substr(i + 1))) {
          i += taken;
        } else {
          return ill_formed;
        }
      }
      if (i >= rest.size()) return ill_formed;
      rest.remove_prefix(i + 1);
      if (open)
        out.back() += value;
      else
        out.push_back(std::move(value));
      open = true;
    } else {
      return mixed;
    }
  }
  if (out.empty())
    return refusal("While parsing a list in the query, expected a non-empty list of string values, but got empty list");
  return out;
}

Value number_value(const Operand& operand) {
  const char *from = operand.text.data(), *to = from + operand.text.size();
  if (operand.kind == Operand::Kind::integer) {
    std::int64_t n = 0;
    if (const auto [end, ec] = std::from_chars(from, to, n); ec == std::errc() && end == to) return n;
  }
  double d = 0;
  std::from_chars(from, to, d);
  return d;
}

Result<Order, Refusal> parse_order(std::string_view text) {
  const auto not_parsed = refusal("Invalid order_by clause '" + std::string(text) + "'. Could not be parsed.");
  const auto tokens = lex(text);
  const auto is_space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
  if (tokens.empty() || is_space(text.front()) || is_space(text.back())) return not_parsed;
  const bool named = tokens[0].kind == Token::Kind::identifier ||
                     (tokens[0].kind == Token::Kind::builtin && tokens[0].text == "timestamp");
  if (!named || tokens.size() > 2) return not_parsed;
  Order order{.key = tokens[0].text};
  if (tokens.size() == 2) {
    std::erase_if(order.key, [](char c) { return c == '"' || c == '`' || c == '\''; });  // as a shell splits words
    const auto word = lower(tokens[1].text);
    if (word != "asc" && word != "desc") {
      if (tokens[1].kind == Token::Kind::identifier)
        return refusal("Invalid ordering key in order_by clause '" + std::string(text) + "'.");
      return not_parsed;
    }
    order.ascending = word == "asc";
  }
  return order;
}

Result<PageToken, Refusal> parse_page_token(std::string_view token) {
  if (token.empty()) return PageToken{};
  const auto decoded = from_base64(token);
  if (!decoded) return refusal("Invalid page token, could not base64-decode");
  boost::system::error_code ec;
  const auto value = boost::json::parse(*decoded, ec);
  if (ec || !value.is_object()) return refusal("Invalid page token, decoded value=" + python_bytes(*decoded));
  const auto* offset = value.get_object().if_contains("offset");
  if (!offset || !offset->is_int64() || offset->get_int64() <= 0)
    return refusal("Invalid page token, parsed value=" + *decoded);
  PageToken page{offset->get_int64(), {}};
  if (const auto* after = value.get_object().if_contains("after"); after && after->is_string())
    page.after = std::string_view(after->get_string().data(), after->get_string().size());
  return page;
}

std::string to_token(const PageToken& page) {
  boost::json::object value{{"offset", page.offset}};
  if (!page.after.empty()) value["after"] = page.after;
  return to_base64(boost::json::serialize(value));
}

}  // namespace assay::filter
