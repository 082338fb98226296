#include "ingest/mlflow/catalog_search.hpp"

namespace assay {

Result<CatalogSearch, MlflowError> read_catalog_search(filter::CatalogKind kind, const boost::json::object& body,
                                                       std::span<const std::string> order_by, std::int64_t usual) {
  constexpr std::int64_t most_max = 50'000;
  const auto most = integer_in(body, "max_results").value_or(usual);
  if (most < 1 || most > most_max)
    return invalid_parameter("Invalid value " + std::to_string(most) +
                             " for parameter 'max_results' supplied. It must be " +
                             (most < 1 ? "a positive integer" : "at most 50000"));
  const auto* filter_name = kind == filter::CatalogKind::experiment ? "filter" : "filter_string";
  auto matches = filter::CatalogFilter::parse(kind, text_in(body, filter_name));
  if (!matches) return invalid_parameter(matches.error().message);
  auto before = filter::CatalogOrder::parse(kind, order_by);
  if (!before) return invalid_parameter(before.error().message);
  const auto page = filter::parse_page_token(text_in(body, "page_token"));
  if (!page) return invalid_parameter(page.error().message);
  return CatalogSearch{std::move(*matches), std::move(*before), static_cast<std::size_t>(page->offset),
                       static_cast<std::size_t>(most)};
}

std::string next_page(std::size_t from, std::size_t count) {
  if (from >= count) return {};
  return R"(,"next_page_token":")" + filter::to_token({static_cast<std::int64_t>(from), {}}) + "\"";
}

}  // namespace assay
