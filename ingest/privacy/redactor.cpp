#include "ingest/privacy/redactor.hpp"

#include <re2/re2.h>

#include <algorithm>
#include <boost/json.hpp>
#include <optional>

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::string_view email = R"((?i)[a-z0-9._%+'-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+)";
// International, or in groups as people write them. A date has fewer digits in its first groups.
constexpr std::string_view phone =
    R"((?:\+|\b00)[0-9][0-9 ()./-]{5,20}[0-9]|\(?\b[0-9]{2,5}\)?[ ./-]{1,2}[0-9]{3,4}[ ./-]?[0-9]{3,6}\b)";
constexpr std::string_view card = R"(\b[0-9](?:[ -]?[0-9]){12,18}\b)";
constexpr int depth_max = 64;

bool passes_luhn(std::string_view text) {
  int sum = 0, at = 0;
  for (auto c = text.rbegin(); c != text.rend(); ++c) {
    if (*c < '0' || *c > '9') continue;
    int digit = *c - '0';
    if (at++ % 2 == 1 && (digit *= 2) > 9) digit -= 9;
    sum += digit;
  }
  return at >= 13 && at <= 19 && sum % 10 == 0;
}

bool is_phone(std::string_view text) {
  const auto digits = std::count_if(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  return digits >= 7 && digits <= 15;
}

bool anything(std::string_view) { return true; }

// More digits follow: what was found is the beginning of a longer number.
bool goes_on(std::string_view rest) {
  if (rest.size() > 1 && (rest[0] == ' ' || rest[0] == '-' || rest[0] == '.' || rest[0] == '/')) rest.remove_prefix(1);
  return !rest.empty() && rest[0] >= '0' && rest[0] <= '9';
}

}  // namespace

struct Redactor::Rule {
  Rule(std::string_view name, std::string_view expression, const RE2::Options& options, bool (*check)(std::string_view))
      : label("[" + std::string(name) + "]"), pattern({expression.data(), expression.size()}, options), check(check) {}
  std::string label;
  RE2 pattern;
  bool (*check)(std::string_view);
};

Redactor::Redactor() = default;
Redactor::~Redactor() = default;

Result<std::unique_ptr<Redactor>, std::string> Redactor::make(const RedactionRules& rules) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(2 << 20);
  std::unique_ptr<Redactor> made(new Redactor);
  const auto add = [&](std::string_view name, std::string_view expression, bool (*check)(std::string_view)) {
    made->rules_.push_back(std::make_unique<Rule>(name, expression, options, check));
    return made->rules_.back()->pattern.ok() ? std::string() : made->rules_.back()->pattern.error();
  };
  for (const std::string_view name : {"email", "card", "phone"}) {  // a card is no telephone number
    if (std::find(rules.built_in.begin(), rules.built_in.end(), name) == rules.built_in.end()) continue;
    if (name == "email") add(name, email, anything);
    if (name == "card") add(name, card, passes_luhn);
    if (name == "phone") add(name, phone, is_phone);
  }
  if (rules.patterns.size() > redaction_patterns_max)
    return "there are more than " + std::to_string(redaction_patterns_max) + " patterns";
  for (const auto& text : rules.patterns) {
    const auto equals = text.find('=');
    if (equals == text.npos || equals == 0 || text.substr(0, equals).find_first_of("\"\\[]") != text.npos)
      return "\"" + text + "\" is not NAME=EXPRESSION";
    const auto expression = std::string_view(text).substr(equals + 1);
    if (expression.empty() || expression.size() > redaction_pattern_bytes_max)
      return "the expression of " + text.substr(0, equals) + " is empty or too long";
    if (const auto problem = add(text.substr(0, equals), expression, anything); !problem.empty())
      return "the expression of " + text.substr(0, equals) + " can't be used: " + problem;
    if (RE2::FullMatch("", made->rules_.back()->pattern))
      return "the expression of " + text.substr(0, equals) + " finds what is empty";
  }
  return made;
}

bool Redactor::redact(std::string& text) const {
  bool changed = false;
  for (const auto& rule : rules_) {
    const re2::StringPiece whole(text);
    re2::StringPiece found;
    std::size_t from = 0, copied = 0;
    std::string out;
    while (from <= text.size() && rule->pattern.Match(whole, from, text.size(), RE2::UNANCHORED, &found, 1)) {
      const auto at = static_cast<std::size_t>(found.data() - text.data());
      if (found.empty()) {
        from = at + 1;
        continue;
      }
      from = at + found.size();
      if (!rule->check({found.data(), found.size()})) continue;
      if (rule->check == is_phone && goes_on(std::string_view(text).substr(from))) continue;
      out.append(text, copied, at - copied).append(rule->label);
      copied = from;
    }
    if (copied == 0) continue;
    out.append(text, copied);
    text = std::move(out);
    changed = true;
  }
  return changed;
}

namespace {

// Calls change(string) for every string below a member of those names.
template <class Change>
void each_text(json::value& value, std::span<const std::string_view> members, bool inside, const Change& change) {
  if (auto* text = value.if_string()) {
    if (inside) change(*text);
  } else if (auto* list = value.if_array()) {
    for (auto& part : *list) each_text(part, members, inside, change);
  } else if (auto* object = value.if_object()) {
    for (auto& [key, part] : *object)
      each_text(part, members,
                inside || std::find(members.begin(), members.end(), std::string_view(key)) != members.end(), change);
  }
}

std::optional<json::value> read(std::string_view text) {
  json::parse_options options;
  options.max_depth = depth_max;
  boost::system::error_code ec;
  auto value = json::parse({text.data(), text.size()}, ec, {}, options);
  if (ec) return {};
  return value;
}

}  // namespace

void Redactor::redact_deep(std::string& text, int depth, bool& changed) const {
  const bool may_be_json = !text.empty() && (text.front() == '{' || text.front() == '[');
  if (may_be_json && depth < 4)
    if (auto value = read(text)) {
      bool within = false;
      each_text(*value, {}, true, [&](json::string& part) {
        std::string copy(part);
        bool part_changed = false;
        redact_deep(copy, depth + 1, part_changed);
        if (part_changed) part = copy;
        within = within || part_changed;
      });
      if (within) text = json::serialize(*value);
      changed = changed || within;
      return;
    }
  if (redact(text)) changed = true;
}

bool Redactor::redact_json(std::string& text, std::span<const std::string_view> members) const {
  auto value = read(text);
  if (!value) return false;
  bool changed = false;
  each_text(*value, members, false, [&](json::string& part) {
    std::string copy(part);
    bool part_changed = false;
    redact_deep(copy, 0, part_changed);
    if (part_changed) part = copy;
    changed = changed || part_changed;
  });
  if (changed) text = json::serialize(*value);
  return changed;
}

}  // namespace assay
