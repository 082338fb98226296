#include "ingest/mlflow/usage_metadata.hpp"

#include <cmath>
#include <optional>
#include <span>

#include "ops/runtime/parse_number.hpp"
#include "storage/records/exact_json.hpp"
#include "storage/records/python_text.hpp"
#include "storage/store/trace_usage.hpp"

namespace assay {
namespace {

namespace json = boost::json;

// A number, or a text that is one.
std::optional<double> number_of(const json::value& value) {
  if (value.is_number()) return value.to_number<double>();
  if (const auto* text = value.if_string()) return parse_number<double>(std::string_view(text->data(), text->size()));
  return {};
}

std::optional<std::string> count_text(const json::value& value) {
  if (value.is_int64()) return std::to_string(value.get_int64());
  const auto number = number_of(value);
  if (!number || *number != std::floor(*number) || std::abs(*number) >= 0x1p63) return {};
  return std::to_string(static_cast<std::int64_t>(*number));
}

std::optional<std::string> cost_text(const json::value& value) {
  const auto number = number_of(value);
  if (!number || !std::isfinite(*number)) return {};
  return python_float(*number);
}

std::string normalised(std::string_view text, std::span<const std::string_view> keys,
                       std::optional<std::string> (*written)(const json::value&)) {
  error_code ec;
  const auto given = parse_json({text.data(), text.size()}, ec);
  if (ec || !given.is_object()) return {};
  std::string out;
  for (const auto key : keys) {
    const auto* value = given.get_object().if_contains(key);
    const auto number = value ? written(*value) : std::nullopt;
    if (!number) continue;
    append_python_string(out += out.empty() ? "{" : ", ", key);
    out += ": " + *number;
  }
  return out.empty() ? out : out + "}";
}

}  // namespace

void normalise_usage(json::object& metadata) {
  const auto rewrite = [&](std::string_view name, auto&& keys, auto written) {
    auto* value = metadata.if_contains(name);
    const auto* text = value ? value->if_string() : nullptr;
    if (!text) return;
    const auto clean = normalised({text->data(), text->size()}, keys, written);
    if (clean.empty())
      metadata.erase(name);
    else
      *value = clean;
  };
  rewrite("mlflow.trace.tokenUsage", token_columns, count_text);
  rewrite("mlflow.trace.cost", cost_columns, cost_text);
}

}  // namespace assay
