#pragma once
// How experiments and datasets are searched in MLflow's API: a filter, an order, and pages of what they find. Pure.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "ingest/mlflow/door.hpp"
#include "storage/store/filter/catalog_filter.hpp"

namespace assay {

struct CatalogSearch {
  filter::CatalogFilter matches;
  filter::CatalogOrder before;
  std::size_t from = 0, most = 0;  // of the page
};

// From a body whose fields are of the types that they should be, and its "order_by"; `usual`: how many a page has where
// the body does not say.
Result<CatalogSearch, MlflowError> read_catalog_search(filter::CatalogKind kind, const boost::json::object& body,
                                                       std::span<const std::string> order_by, std::int64_t usual);

// {"next_page_token":"…"}, without the braces and with a comma before it; empty where nothing follows.
std::string next_page(std::size_t from, std::size_t count);

// {"NAME":[…],"next_page_token":"…"}: of `all` what the search finds.
template <class T>
Result<std::string, MlflowError> page_of(std::vector<T> all, const CatalogSearch& search, std::string_view name,
                                         filter::CatalogEntry (*entry_of)(const T&), std::string (*to_json)(const T&)) {
  std::erase_if(all, [&](const T& one) { return !search.matches(entry_of(one)); });
  if (const auto problem = search.matches.problem()) return invalid_parameter(problem->message);
  std::ranges::sort(all, [&](const T& a, const T& b) { return search.before(entry_of(a), entry_of(b)); });
  const auto from = std::min(search.from, all.size()), to = std::min(from + search.most, all.size());
  if (from == to) return "{}";
  std::string out = "{\"" + std::string(name) + "\":[";
  for (auto i = from; i < to; ++i) out += (i == from ? "" : ",") + to_json(all[i]);
  return out + "]" + next_page(to, all.size()) + "}";
}

}  // namespace assay
