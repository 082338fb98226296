#pragma once
// The comparisons of strings that filters know, as MLflow on SQLite makes them: LIKE by case, % and _ without an
// escape; ILIKE without the case of ASCII letters; RLIKE as a regular expression of characters that matches anywhere.
#include <boost/regex_fwd.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "storage/store/filter/clause.hpp"

namespace assay::filter {

bool like(std::string_view text, std::string_view pattern);
// The same, where each character that is held against a part with a _ in it is a step. With none left it matches
// nothing.
bool like(std::string_view text, std::string_view pattern, std::size_t& steps);
inline constexpr std::size_t like_steps_max = 100'000'000;  // some tenths of a second

// One comparison with a fixed right side: "=", "!=", "LIKE", "ILIKE", "RLIKE", "IN", "NOT IN"; of strings also < and so
// on.
class TextMatch {
 public:
  // A refusal: the regular expression is none.
  static Result<TextMatch, Refusal> make(std::string_view op, const Value& value);
  bool operator()(std::string_view text) const;
  // Of what was looked at: for one of these texts the regular expression, or for all of them together the pattern, took
  // too long. It matches none from there on.
  std::optional<Refusal> problem() const;

 private:
  std::string op_, value_;
  std::vector<std::string> values_;
  std::shared_ptr<const boost::wregex> regex_;
  mutable std::size_t steps_ = like_steps_max;
  mutable bool gave_up_ = false;
};

// Numbers; a string is taken for the number in it, if there is one.
bool compare_number(double left, std::string_view op, const Value& right);

}  // namespace assay::filter
