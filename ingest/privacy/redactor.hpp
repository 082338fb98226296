#pragma once
// Takes out of texts what should not be kept: e-mail addresses, telephone and card numbers, and what patterns of the
// operator's own find. Expressions are RE2's: their time is linear in the text, whatever they are.
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/privacy/json_texts.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

struct RedactionRules {
  // "email", "phone", "card"
  std::vector<std::string> built_in;
  // "NAME=EXPRESSION": what it finds becomes "[NAME]".
  std::vector<std::string> patterns;
  bool feedback = true;  // values, comments, rationales and metadata of feedback and expectations
  bool traces = true;    // previews, tags, metadata and spans of traces, and datasets' records

  bool empty() const { return built_in.empty() && patterns.empty(); }
};

inline constexpr std::size_t redaction_patterns_max = 32;
inline constexpr std::size_t redaction_pattern_bytes_max = 1000;

// Thread-safe.
class Redactor {
 public:
  // What is wrong with the rules, in a sentence.
  static Result<std::unique_ptr<Redactor>, std::string> make(const RedactionRules& rules);
  ~Redactor();

  // Whether there was something to take out.
  bool redact(std::string& text) const;

  // The same in the texts below these places of a JSON document (see change_json). A text that is itself JSON is
  // treated as what it is; of one that was cut, what may be the beginning of something to take out goes, too. All of
  // what is no JSON is text.
  bool redact_json(std::string& document, std::span<const JsonPlace> places,
                   std::span<const std::string_view> kept = {}) const;

 private:
  struct Rule;
  Redactor();
  bool redact_deep(JsonText& found, int depth) const;
  bool drop_beginning(std::string& text) const;
  std::vector<std::unique_ptr<Rule>> rules_;
};

}  // namespace assay
