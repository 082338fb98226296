#pragma once
// A filter as MLflow writes it: comparisons joined by AND. This file: from text to comparisons, the same for traces,
// experiments and datasets; what a left side may be is each grammar's own matter. The words of refusal are those of
// MLflow's server, since its client shows them. Pure.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ops/runtime/result.hpp"

namespace assay::filter {

// What is wrong with a filter, an order or a page token, in words.
struct Refusal {
  Refusal() = default;
  Refusal(std::string message, std::string code) : message(std::move(message)), code(std::move(code)) {}
  std::string message, code;
};
inline Refusal refusal(std::string message) { return {std::move(message), "INVALID_PARAMETER_VALUE"}; }

struct Operand {
  enum class Kind { none, identifier, string, integer, real, list, other };
  Kind kind = Kind::none;
  std::string text;  // as it was written
};

struct Comparison {
  Operand left;
  std::string op;  // as it was written: "=", "like", "NOT IN", "IS NULL", …
  Operand right;   // none: IS NULL, IS NOT NULL
};

// `timestamp_is_bare`: the name timestamp, a type of SQL, may stand on the left (traces).
// `quoted_invalids`: how a grammar lists what it did not understand.
struct Style {
  bool timestamp_is_bare = false;
  bool quoted_invalids = true;
};
Result<std::vector<Comparison>, Refusal> parse_comparisons(std::string_view text, const Style& style);

using Value = std::variant<std::monostate, std::int64_t, double, std::string, std::vector<std::string>>;

// What a clause is about: "tag", "attribute", … and the key in it.
struct Clause {
  std::string kind;
  std::string key;
  std::string op;
  Value value;
};

std::string upper(std::string_view text);
std::string lower(std::string_view text);
// `a` -> a
std::string without_backticks(std::string_view text);
// 'a' or "a" -> a, others as they are.
std::string without_quotes(std::string_view text);
// As Python prints a set of strings, sorted.
std::string set_text(std::vector<std::string_view> names);

// The value of a quoted operand: a refusal where it has no quotes.
Result<std::string, Refusal> quoted_value(const Operand& operand);
// The strings of a list in parentheses.
Result<std::vector<std::string>, Refusal> list_value(const Operand& operand);
Value number_value(const Operand& operand);

// "key [ASC|DESC]"; the key as it was written, but without quotes and backticks where a direction follows.
struct Order {
  std::string key;
  bool ascending = true;
};
Result<Order, Refusal> parse_order(std::string_view text);

// MLflow's token of an offset, and ours, which also says where the last page ended.
struct PageToken {
  std::int64_t offset = 0;
  std::string after;  // empty: skip `offset` results
};
Result<PageToken, Refusal> parse_page_token(std::string_view token);
std::string to_token(const PageToken& page);

}  // namespace assay::filter
