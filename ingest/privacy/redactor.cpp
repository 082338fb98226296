#include "ingest/privacy/redactor.hpp"

#include <re2/re2.h>

#include <algorithm>

#include "ingest/privacy/cards.hpp"
#include "ingest/privacy/phones.hpp"

namespace assay {
namespace {

constexpr std::string_view email =
    R"([\p{L}\p{M}\p{N}._%+'-]+[@\x{ff20}][\p{L}\p{M}\p{N}-]+(?:\.[\p{L}\p{M}\p{N}-]+)+)";
// At the end of a text that was cut, with the dots that say so.
constexpr std::string_view email_begins = R"([\p{L}\p{M}\p{N}._%+'-]+[@\x{ff20}][\p{L}\p{M}\p{N}.-]*$)";
constexpr std::string_view number_begins =
    R"([0-9+(][0-9 ()./\x{a0}\x{2007}\x{2009}\x{202f}\x{2010}\x{2011}\x{2013}-]{0,40}$)";
constexpr int nesting_max = 8;  // of JSON in strings of JSON; each level doubles the backslashes

RE2::Options options() {
  RE2::Options out;
  out.set_log_errors(false);
  out.set_max_mem(2 << 20);
  return out;
}

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

struct Redactor::Rule {
  using Find = std::function<std::vector<DigitMatch>(std::string_view)>;
  Rule(std::string_view name, Find find, std::string_view begins)
      : label("[" + std::string(name) + "]"), find(std::move(find)), begins(piece(begins), options()) {}
  std::string label;
  Find find;
  RE2 begins;  // empty: it is not known how
};

namespace {

std::vector<DigitMatch> find_all(const RE2& pattern, std::string_view text) {
  std::vector<DigitMatch> out;
  re2::StringPiece found;
  std::size_t from = 0;
  while (from <= text.size() && pattern.Match(piece(text), from, text.size(), RE2::UNANCHORED, &found, 1)) {
    const auto at = static_cast<std::size_t>(found.data() - text.data());
    if (!found.empty()) out.push_back({at, at + found.size()});
    from = at + std::max<std::size_t>(1, found.size());
  }
  return out;
}

auto finder(std::shared_ptr<const RE2> pattern) {
  return [pattern = std::move(pattern)](std::string_view text) { return find_all(*pattern, text); };
}

std::shared_ptr<const RE2> compiled(std::string_view expression) {
  return std::make_shared<const RE2>(piece(expression), options());
}

}  // namespace

Redactor::Redactor() = default;
Redactor::~Redactor() = default;

Result<std::unique_ptr<Redactor>, std::string> Redactor::make(const RedactionRules& rules) {
  std::unique_ptr<Redactor> made(new Redactor);
  const auto add = [&](std::string_view name, Rule::Find find, std::string_view begins) {
    made->rules_.push_back(std::make_unique<Rule>(name, std::move(find), begins));
  };
  for (const std::string_view name : {"email", "card", "phone"}) {  // a card is no telephone number
    if (std::find(rules.built_in.begin(), rules.built_in.end(), name) == rules.built_in.end()) continue;
    if (name == "email")  // few texts have an @, and looking for letters of all scripts takes longer than for that
      add(
          name,
          [pattern = compiled(email)](std::string_view text) {
            const bool has_at = text.find('@') != text.npos || text.find("\uff20") != text.npos;
            return has_at ? find_all(*pattern, text) : std::vector<DigitMatch>();
          },
          email_begins);
    if (name == "card") add(name, find_cards, number_begins);
    if (name == "phone")
      add(
          name, [phones = std::make_shared<const PhoneFinder>()](std::string_view text) { return (*phones)(text); },
          number_begins);
  }
  if (rules.patterns.size() > redaction_patterns_max)
    return "there are more than " + std::to_string(redaction_patterns_max) + " patterns";
  for (const auto& text : rules.patterns) {
    const auto equals = text.find('=');
    if (equals == text.npos || equals == 0 || text.substr(0, equals).find_first_of("\"\\[]") != text.npos)
      return "\"" + text + "\" is not NAME=EXPRESSION";
    const auto name = text.substr(0, equals);
    const auto expression = std::string_view(text).substr(equals + 1);
    if (expression.empty() || expression.size() > redaction_pattern_bytes_max)
      return "the expression of " + name + " is empty or too long";
    auto pattern = compiled(expression);
    if (!pattern->ok()) return "the expression of " + name + " can't be used: " + pattern->error();
    if (RE2::FullMatch("", *pattern)) return "the expression of " + name + " finds what is empty";
    add(name, finder(std::move(pattern)), "");
  }
  return made;
}

bool Redactor::redact(std::string& text) const {
  bool changed = false;
  for (const auto& rule : rules_) {
    const auto found = rule->find(text);
    if (found.empty()) continue;
    std::string out;
    std::size_t copied = 0;
    for (const auto& [from, to] : found) {
      out.append(text, copied, from - copied).append(rule->label);
      copied = to;
    }
    text = std::move(out.append(text, copied));
    changed = true;
  }
  return changed;
}

bool Redactor::drop_beginning(std::string& text) const {
  const std::string_view dots = text.ends_with("...") ? "..." : "";
  bool changed = false;
  for (const auto& rule : rules_) {
    const std::string_view said(text.data(), text.size() - dots.size());
    re2::StringPiece found;
    if (rule->begins.pattern().empty() || !rule->begins.Match(piece(said), 0, said.size(), RE2::UNANCHORED, &found, 1))
      continue;
    text.erase(said.size() - found.size(), found.size());
    changed = true;
  }
  return changed;
}

bool Redactor::redact_deep(JsonText& found, int depth) const {
  auto& text = found.text;
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == text.npos) return false;
  const char first = text[start];
  bool changed = false;
  if (depth < nesting_max && (first == '{' || first == '[' || first == '"' || found.json_value)) {
    const auto change = change_json(text, found.cut, [&](JsonText& part) { return redact_deep(part, depth + 1); });
    if (change.is_json) return change.changed;
    changed = change.changed;
  }
  if (redact(text)) changed = true;
  if (found.cut && drop_beginning(text)) changed = true;
  return changed;
}

bool Redactor::redact_json(std::string& document, std::span<const JsonPlace> places,
                           std::span<const std::string_view> kept) const {
  const auto change = change_json(document, places, kept, [this](JsonText& found) { return redact_deep(found, 0); });
  if (change.is_json) return change.changed;
  return redact(document) || change.changed;
}

}  // namespace assay
