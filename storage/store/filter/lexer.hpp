#pragma once
// A filter's words, as sqlparse, which MLflow's server reads them with, tells them apart. Pure.
#include <string>
#include <string_view>
#include <vector>

namespace assay::filter {

struct Token {
  enum class Kind {
    identifier,  // name, a.b.c, tags."x y", tags.`x.y`, tags.'x', "quoted"
    string,      // 'quoted'
    integer,
    real,
    list,        // in parentheses, whole
    operation,   // names joined by - + * /, and $1: no identifier
    comparison,  // = != < <= > >= LIKE ILIKE RLIKE NOT LIKE …
    keyword,     // AND OR NOT IN IS NULL "NOT NULL" …
    builtin,     // the names of SQL's types: text, timestamp, …
    end,         // ;
    other
  };
  Kind kind;
  std::string text;
};

std::vector<Token> lex(std::string_view text);

}  // namespace assay::filter
