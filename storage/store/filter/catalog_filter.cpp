#include "storage/store/filter/catalog_filter.hpp"

#include <algorithm>
#include <optional>

#include "ops/runtime/parse_number.hpp"

namespace assay::filter {
namespace {

using Names = std::vector<std::string_view>;

struct Grammar {
  Names attributes, numbers, orders;
  std::string_view list_key, tie_breaker;
};

const Grammar& grammar_of(CatalogKind kind) {
  static const Grammar experiment{{"name", "experiment_id", "creation_time", "last_update_time"},
                                  {"creation_time", "last_update_time"},
                                  {"name", "experiment_id", "creation_time", "last_update_time"},
                                  "experiment_id",
                                  "experiment_id"};
  static const Grammar dataset{{"name", "created_time", "last_update_time", "created_by", "last_updated_by"},
                               {"created_time", "last_update_time"},
                               {"name", "created_time", "last_update_time"},
                               "name",
                               "dataset_id"};
  return kind == CatalogKind::experiment ? experiment : dataset;
}

bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Identifier {
  bool tag = false;
  std::string key;
};

Result<Identifier, Refusal> identifier_of(CatalogKind kind, std::string_view text, const Names& attributes) {
  const auto dot = text.find('.');
  const auto entity = dot == text.npos ? std::string_view() : text.substr(0, dot);
  std::string key(dot == text.npos ? text : text.substr(dot + 1));
  if (kind == CatalogKind::dataset) {
    if (dot != text.npos) {
      if (entity == "tags") return Identifier{true, std::move(key)};
      return refusal("Invalid identifier token '" + std::string(entity) + "' specified");
    }
    if (!has(attributes, key))
      return refusal("Invalid attribute key '" + key + "' specified. Valid keys are: " + set_text(attributes));
    return Identifier{false, std::move(key)};
  }
  if (dot != text.npos && entity != "attribute" && entity != "tag" && entity != "tags")
    return refusal("Invalid entity type '" + std::string(entity) +
                   "'. Valid entity types are ('attribute', 'tag', 'tags')");
  key = without_backticks(without_quotes(key));
  const bool tag = entity == "tag" || entity == "tags";
  if (!tag && !has(attributes, key))
    return refusal("Invalid attribute key '" + key + "' specified. Valid keys are '" + set_text(attributes) + "'");
  return Identifier{tag, std::move(key)};
}

bool is_text(const Operand& operand) {
  return operand.kind == Operand::Kind::string || operand.kind == Operand::Kind::identifier;
}
bool is_number(const Operand& operand) {
  return operand.kind == Operand::Kind::integer || operand.kind == Operand::Kind::real;
}

Result<Value, Refusal> value_of(CatalogKind kind, const Identifier& of, std::string_view op, const Operand& got) {
  const auto& grammar = grammar_of(kind);
  if (!of.tag && has(grammar.numbers, of.key)) {
    if (is_number(got)) return number_value(got);
    return refusal("Expected numeric value type for numeric attribute: " + of.key + ". Found " + got.text);
  }
  if (is_text(got)) {
    auto text = quoted_value(got);
    if (!text) return text.error();
    return Value(std::move(*text));
  }
  if (of.tag) return refusal("Expected a quoted string value for tag (e.g. 'my-value'). Got value " + got.text);
  if (got.kind != Operand::Kind::list)
    return refusal("Expected a quoted string value for attributes. Got value " + got.text);
  if (of.key != grammar.list_key)
    return refusal("Only ['" + std::string(grammar.list_key) +
                   "'] attributes support comparison with a list of quoted string values.");
  auto list = list_value(got);
  if (!list) return list.error();
  if (kind == CatalogKind::dataset && op != "IN")
    return refusal("List values for 'name' are only supported with the IN comparator.");
  return Value(std::move(*list));
}

std::optional<Refusal> problem_with(CatalogKind kind, const Identifier& of, const Clause& clause) {
  static const Names strings = {"!=", "=", "LIKE", "ILIKE", "IN", "NOT IN"};
  static const Names plain = {"!=", "=", "LIKE", "ILIKE"};
  static const Names numeric = {">", ">=", "!=", "=", "<", "<="};
  const auto& op = clause.op;
  if (of.tag) {
    const bool null = op == "IS NULL" || op == "IS NOT NULL";
    if (!(has(plain, op) || (null && kind == CatalogKind::experiment)))
      return refusal("Invalid comparator for tag: " + op);
    return {};
  }
  if (has(grammar_of(kind).numbers, of.key)) {
    if (!has(numeric, op)) return refusal("Invalid comparator for numeric attribute: " + op);
    if (const auto* real = std::get_if<double>(&clause.value)) {
      std::string text = std::to_string(*real);
      while (text.ends_with('0') && !text.ends_with(".0")) text.pop_back();
      return refusal("Invalid value for numeric attribute '" + of.key + "': '" + text + "'");
    }
    return {};
  }
  if (kind == CatalogKind::experiment && of.key == "experiment_id") {
    if (op != "=" && op != "!=" && op != "IN" && op != "NOT IN")
      return refusal("Invalid comparator for experiment_id: " + op);
    const auto* one = std::get_if<std::string>(&clause.value);
    const auto* many = std::get_if<std::vector<std::string>>(&clause.value);
    for (const auto& id : many ? *many : std::vector<std::string>{one ? *one : ""})
      if (auto problem = problem_with_experiment_id(id)) return problem;
    return {};
  }
  if (!has(strings, op) && kind == CatalogKind::experiment)
    return refusal("Invalid comparator '" + op + "' not one of '" + set_text(strings) + "'");
  if (!has(plain, op) && !(kind == CatalogKind::dataset && (op == "RLIKE" || (of.key == "name" && op == "IN"))))
    return refusal("Invalid comparator for string attribute: " + op);
  return {};
}

}  // namespace

std::optional<Refusal> problem_with_experiment_id(std::string_view id) {
  if (parse_number<std::int64_t>(id)) return {};
  return refusal("Invalid experiment ID '" + std::string(id) + "'. Experiment ID must be a valid integer.");
}

Result<CatalogFilter, Refusal> CatalogFilter::parse(CatalogKind kind, std::string_view text) {
  const auto comparisons = parse_comparisons(text, {.quoted_invalids = false});
  if (!comparisons) return comparisons.error();
  CatalogFilter out;
  for (const auto& comparison : *comparisons) {
    auto of = identifier_of(kind, comparison.left.text, grammar_of(kind).attributes);
    if (!of) return of.error();
    Clause clause{.kind = of->tag ? "tag" : "attribute", .key = of->key, .op = comparison.op};
    if (comparison.right.kind == Operand::Kind::none) {
      if (!of->tag && kind == CatalogKind::experiment)
        return refusal("IS NULL / IS NOT NULL is only supported for tags, not for attribute '" + of->key + "'");
      if (!of->tag)
        return refusal("IS NULL / IS NOT NULL is only supported for tags and params, not for 'attribute' '" + of->key +
                       "'");
    } else {
      auto value = value_of(kind, *of, comparison.op, comparison.right);
      if (!value) return value.error();
      clause.value = std::move(*value);
    }
    if (auto problem = problem_with(kind, *of, clause)) return std::move(*problem);
    auto match = TextMatch::make(clause.op, clause.value);
    if (!match) return match.error();
    out.clauses_.push_back({std::move(clause), std::move(*match)});
  }
  return out;
}

std::optional<Refusal> CatalogFilter::problem() const {
  for (const auto& compiled : clauses_)
    if (auto problem = compiled.text.problem()) return problem;
  return {};
}

bool CatalogFilter::operator()(const CatalogEntry& entry) const {
  return std::all_of(clauses_.begin(), clauses_.end(), [&](const Compiled& compiled) {
    const auto& clause = compiled.clause;
    if (clause.kind == "tag") {
      const auto at = entry.tags->find(clause.key);
      const bool there = at != entry.tags->end();
      if (clause.op == "IS NULL") return !there;
      if (clause.op == "IS NOT NULL") return there;
      return there && compiled.text(at->second);
    }
    const auto value = entry.attribute(clause.key);
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      // An experiment's id is a number that is written as a string.
      if (!std::holds_alternative<std::string>(clause.value) &&
          !std::holds_alternative<std::vector<std::string>>(clause.value))
        return compare_number(static_cast<double>(*number), clause.op, clause.value);
      return compiled.text(std::to_string(*number));
    }
    const auto* text = std::get_if<std::string>(&value);
    return text && compiled.text(*text);
  });
}

Result<CatalogOrder, Refusal> CatalogOrder::parse(CatalogKind kind, std::span<const std::string> clauses) {
  const auto& grammar = grammar_of(kind);
  CatalogOrder out;
  for (const auto& text : clauses) {
    auto order = parse_order(text);
    if (!order) return order.error();
    auto of = identifier_of(kind, order->key, grammar.orders);
    if (!of) return of.error();
    if (of->tag) return refusal("Invalid order_by entity: tag");
    out.orders_.push_back({of->key, order->ascending});
  }
  if (clauses.empty() && kind == CatalogKind::experiment)
    out.orders_ = {{"creation_time", false}, {"experiment_id", true}};
  if (clauses.empty() && kind == CatalogKind::dataset) out.orders_ = {{"created_time", false}};
  out.orders_.push_back({std::string(grammar.tie_breaker), false});
  return out;
}

bool CatalogOrder::operator()(const CatalogEntry& a, const CatalogEntry& b) const {
  for (const auto& order : orders_) {
    const auto left = a.attribute(order.key), right = b.attribute(order.key);
    if (left == right) continue;
    return (left < right) == order.ascending;
  }
  return false;
}

}  // namespace assay::filter
