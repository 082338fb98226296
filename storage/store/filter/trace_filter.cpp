#include "storage/store/filter/trace_filter.hpp"

#include <algorithm>
#include <optional>

namespace assay::filter {
namespace {

using Names = std::vector<std::string_view>;

const Names entities = {"tag",  "request_metadata", "attribute", "span",    "feedback", "expectation", "issue",
                        "tags", "attributes",       "trace",     "metadata"};
const Names attributes = {"request_id", "timestamp",   "timestamp_ms", "execution_time",    "execution_time_ms",
                          "end_time",   "end_time_ms", "status",       "client_request_id", "name",
                          "run_id",     "prompt",      "text"};
const Names order_attributes = {"experiment_id",     "timestamp", "timestamp_ms", "execution_time",
                                "execution_time_ms", "end_time",  "end_time_ms",  "status",
                                "request_id",        "name",      "run_id"};
const Names numeric_attributes = {"timestamp_ms",   "timestamp",   "execution_time_ms",
                                  "execution_time", "end_time_ms", "end_time"};
const Names list_attributes = {"name", "status", "request_id", "run_id", "client_request_id"};
const Names numeric_ops = {">", ">=", "!=", "=", "<", "<="};
const Names string_ops = {"!=", "=", "IN", "NOT IN", "LIKE", "ILIKE", "RLIKE"};
const Names tag_ops = {"!=", "=", "LIKE", "ILIKE", "RLIKE", "IS NULL", "IS NOT NULL"};
const Names content_ops = {"LIKE", "ILIKE"};
const Names value_ops = {">", ">=", "<", "<="};
const Names assessment_ops = {"!=", "=", ">", ">=", "<", "<=", "LIKE", "ILIKE", "RLIKE", "IS NULL", "IS NOT NULL"};

bool has(const Names& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

struct Identifier {
  std::string kind, key;
};

Result<Identifier, Refusal> identifier_of(std::string_view text, const Names& valid_attributes) {
  Identifier out{"attribute", std::string(text)};
  if (const auto dot = text.find('.'); dot != text.npos) {
    out.kind = without_backticks(text.substr(0, dot));
    out.key = text.substr(dot + 1);
    if (!has(entities, out.kind))
      return refusal("Invalid entity type '" + out.kind + "'. Valid values are " + set_text(entities));
    if (out.kind == "tags") out.kind = "tag";
    if (out.kind == "attributes" || out.kind == "trace") out.kind = "attribute";
    if (out.kind == "metadata") out.kind = "request_metadata";
  }
  out.key = without_backticks(without_quotes(out.key));
  if (out.kind == "attribute" && !has(valid_attributes, out.key))
    return refusal("Invalid attribute key '" + out.key + "' specified. Valid keys are '" + set_text(valid_attributes) +
                   "'");
  return out;
}

Refusal expected(std::string_view what, const Identifier& of, const Operand& got) {
  return refusal("Expected a " + std::string(what) + " value for " + of.kind + " (e.g. 'my-value'). Got value " +
                 got.text);
}

bool is_text(const Operand& operand) {
  return operand.kind == Operand::Kind::string || operand.kind == Operand::Kind::identifier;
}
bool is_number(const Operand& operand) {
  return operand.kind == Operand::Kind::integer || operand.kind == Operand::Kind::real;
}

Result<Value, Refusal> text_value(const Operand& operand) {
  auto text = quoted_value(operand);
  if (!text) return text.error();
  return Value(std::move(*text));
}

Result<Value, Refusal> texts_value(const Operand& operand) {
  auto list = list_value(operand);
  if (!list) return list.error();
  return Value(std::move(*list));
}

std::optional<Refusal> problem_with_assessment_value(const Identifier& of, std::string_view op, const Operand& got) {
  const bool numeric = has(value_ops, op);
  if (numeric ? is_number(got) : is_text(got)) return {};
  if (numeric)
    return refusal("Expected a numeric value for " + of.kind + " when using comparator '" + std::string(op) +
                   "'. Got value " + got.text);
  return expected("quoted string", of, got);
}

Result<Value, Refusal> value_of(const Identifier& of, const Operand& got) {
  if (of.kind == "attribute") {
    if (is_text(got)) return text_value(got);
    if (got.kind == Operand::Kind::list) {
      if (!has(list_attributes, of.key))
        return refusal("Only attributes in " + set_text(list_attributes) +
                       " supports comparison with a list of quoted string values.");
      return texts_value(got);
    }
    if (is_number(got)) {
      if (!has(numeric_attributes, of.key))
        return refusal("Only the '" + set_text(numeric_attributes) +
                       "' attributes support comparison with numeric values.");
      return number_value(got);
    }
    return refusal("Expected a quoted string value or a list of quoted string values for attributes. Got value " +
                   got.text);
  }
  if (of.kind == "feedback" || of.kind == "expectation") return is_number(got) ? number_value(got) : text_value(got);
  if (is_text(got)) return text_value(got);
  if (got.kind == Operand::Kind::list && (of.kind == "tag" || of.kind == "span")) return texts_value(got);
  return expected("quoted string", of, got);
}

std::optional<Refusal> problem_with_span(const std::string& key, std::string_view op) {
  const auto bad_op = [&](const Names& valid) {
    return refusal("span." + key + " comparator '" + std::string(op) + "' not one of '" + set_text(valid) + "'");
  };
  if (key.starts_with("attributes.")) {
    if (key.size() == std::string_view("attributes.").size())
      return refusal("Span attribute name cannot be empty after 'attributes.'");
    if (!has(string_ops, op)) return bad_op(string_ops);
  } else if (key == "name" || key == "type" || key == "status") {
    if (!has(string_ops, op)) return bad_op(string_ops);
  } else if (key == "content") {
    if (!has(content_ops, op)) return bad_op(content_ops);
  } else {
    return refusal("Invalid span attribute '" + key +
                   "'. Supported attributes: name, status, type, attributes.<attribute_name>.");
  }
  return {};
}

// The tag, metadata, content or attribute that a key stands for.
void replace_key(Identifier& of) {
  if (of.kind == "span") return;
  const auto key = lower(of.key);
  if (key == "name")
    of = {"tag", "mlflow.traceName"};
  else if (key == "prompt")
    of = {"tag", "mlflow.linkedPrompts"};
  else if (key == "run_id")
    of = {"request_metadata", "mlflow.sourceRun"};
  else if (key == "text")
    of = {"span", "content"};
  else if (key == "timestamp" || key == "execution_time" || key == "end_time")
    of.key = key + "_ms";
}

// MLflow keeps them in columns, one a number.
bool is_reserved(std::string_view key) { return key == "mlflow.trace.tokenUsage" || key == "mlflow.trace.cost"; }

// MLflow's server makes no IN of them, and its database says so.
Refusal no_list_of_attributes(std::string_view key, const std::vector<std::string>& values) {
  std::string list;
  for (const auto& value : values) list += (list.empty() ? "\\'" : ", \\'") + value + "\\'";
  if (values.size() == 1) list += ',';
  return {"IN expression list, SELECT construct, or bound parameter object expected, got '%\"" +
              without_backticks(key.substr(key.find('.') + 1)) + "\"(" + list + ")%'.",
          "BAD_REQUEST"};
}

// What the server finds out only when it makes the query.
std::optional<Refusal> problem_with(const Clause& clause) {
  const auto bad_op = [&](const Names& valid, std::string_view end) {
    return refusal("Invalid comparator '" + clause.op + "' not one of '" + set_text(valid) + std::string(end));
  };
  if (clause.kind == "issue") {
    if (clause.key != "id") return refusal("Invalid issue attribute '" + clause.key + "'. Supported attributes: id");
    if (clause.op != "=") return refusal("issue.id comparator '" + clause.op + "' not one of '{'='}'");
  } else if (clause.kind == "attribute") {
    const bool numeric = has(numeric_attributes, clause.key);
    if (numeric && !has(numeric_ops, clause.op)) return bad_op(string_ops, "");
    if (!numeric && !has(string_ops, clause.op)) return bad_op(string_ops, "'");
  } else if (clause.kind == "tag") {
    if (!has(tag_ops, clause.op)) return bad_op(tag_ops, "");
    if (clause.key == "mlflow.linkedPrompts") {
      if (clause.op != "=")
        return refusal("Invalid comparator '" + clause.op +
                       "' for prompts filter. Only '=' is supported with format: prompt = \"name/version\"");
      const auto* text = std::get_if<std::string>(&clause.value);
      if (text && std::count(text->begin(), text->end(), '/') != 1)
        return refusal("Invalid prompts filter value '" + *text + "'. Expected format: prompt = \"name/version\"");
    }
  } else if (clause.kind == "request_metadata") {
    if (!has(tag_ops, clause.op)) return bad_op(tag_ops, "'");
    if (is_reserved(clause.key) && !has({"=", "!=", "IS NULL", "IS NOT NULL"}, clause.op))
      return refusal("Comparator '" + clause.op + "' is not supported for reserved metadata '" + clause.key +
                     "'. Only '=', '!=', 'IS NULL', and 'IS NOT NULL' are supported.");
  } else if (clause.kind == "span") {
    if (auto problem = problem_with_span(clause.key, clause.op)) return problem;
    const auto* list = std::get_if<std::vector<std::string>>(&clause.value);
    if (list && clause.key.starts_with("attributes.")) return no_list_of_attributes(clause.key, *list);
  } else {
    if (clause.key.empty()) return refusal("Assessment field name cannot be empty");
    if (!has(assessment_ops, clause.op))
      return refusal("assessment." + clause.key + " comparator '" + clause.op + "' not one of '" +
                     set_text(assessment_ops) + "'");
  }
  if (std::holds_alternative<std::vector<std::string>>(clause.value) && clause.op != "IN" && clause.op != "NOT IN")
    return refusal("A list can only be compared with IN and NOT IN.");
  return {};
}

}  // namespace

Result<TraceFilter, Refusal> parse_trace_filter(std::string_view text) {
  const auto comparisons = parse_comparisons(text, {.timestamp_is_bare = true});
  if (!comparisons) return comparisons.error();
  TraceFilter out;
  for (const auto& comparison : *comparisons) {
    auto of = identifier_of(comparison.left.text, attributes);
    if (!of) return of.error();
    Clause clause{.op = upper(comparison.op)};
    if (comparison.right.kind != Operand::Kind::none) {
      if (of->kind == "feedback" || of->kind == "expectation")
        if (auto problem = problem_with_assessment_value(*of, comparison.op, comparison.right))
          return std::move(*problem);
      auto value = value_of(*of, comparison.right);
      if (!value) return value.error();
      clause.value = std::move(*value);
      if (of->kind == "span")
        if (auto problem = problem_with_span(of->key, comparison.op)) return std::move(*problem);
    }
    replace_key(*of);
    clause.kind = std::move(of->kind);
    clause.key = std::move(of->key);
    out.push_back(std::move(clause));
  }
  for (const auto& clause : out)
    if (auto problem = problem_with(clause)) return std::move(*problem);
  return out;
}

Result<std::vector<TraceOrder>, Refusal> parse_trace_order(std::span<const std::string> clauses) {
  std::vector<TraceOrder> out;
  const auto known = [&](std::string_view kind, std::string_view key) {
    return std::any_of(out.begin(), out.end(), [&](const TraceOrder& o) { return o.kind == kind && o.key == key; });
  };
  if (clauses.size() > 16) return refusal("`order_by` has more than 16 clauses.");
  for (const auto& text : clauses) {
    const auto order = parse_order(text);
    if (!order) return order.error();
    auto of = identifier_of(order->key, order_attributes);
    if (!of) return of.error();
    replace_key(*of);
    if (of->kind != "attribute" && of->kind != "tag" && of->kind != "request_metadata")
      return refusal("Invalid identifier type '" + of->kind + "'");
    if (of->kind == "request_metadata" && is_reserved(of->key))
      return refusal("Ordering by reserved metadata '" + of->key +
                     "' is not supported because it is represented by multiple columns.");
    if (known(of->kind, of->key)) return refusal("`order_by` contains duplicate fields: " + text);
    out.push_back({of->kind, of->key, order->ascending});
  }
  if (!known("attribute", "timestamp_ms")) out.push_back({"attribute", "timestamp_ms", false});
  if (!known("attribute", "request_id")) out.push_back({"attribute", "request_id", true});
  return out;
}

bool is_newest_first(const std::vector<TraceOrder>& order) {
  return order.size() == 2 && order[0].key == "timestamp_ms" && !order[0].ascending && order[1].key == "request_id" &&
         order[1].ascending && order[0].kind == "attribute" && order[1].kind == "attribute";
}

}  // namespace assay::filter
