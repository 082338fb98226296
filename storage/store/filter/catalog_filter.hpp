#pragma once
// What a filter and an order of experiments and datasets may say: MLflow's search_experiments and search_datasets. Both
// know attributes and tags; their words differ. Pure.
#include <functional>
#include <map>
#include <optional>
#include <span>

#include "storage/store/filter/clause.hpp"
#include "storage/store/filter/text_match.hpp"

namespace assay::filter {

// Experiments are numbered: what is no number is no experiment's id.
std::optional<Refusal> problem_with_experiment_id(std::string_view id);

enum class CatalogKind { experiment, dataset };

// One experiment or dataset, as filters and orders see it.
struct CatalogEntry {
  std::function<Value(std::string_view)> attribute;  // a number or a string; none: not there
  const std::map<std::string, std::string>* tags;
};

class CatalogFilter {
 public:
  static Result<CatalogFilter, Refusal> parse(CatalogKind kind, std::string_view text);
  bool operator()(const CatalogEntry& entry) const;
  // Why what it has said is no answer: see TextMatch.
  std::optional<Refusal> problem() const;

 private:
  struct Compiled {
    Clause clause;
    TextMatch text;
  };
  std::vector<Compiled> clauses_;
};

class CatalogOrder {
 public:
  static Result<CatalogOrder, Refusal> parse(CatalogKind kind, std::span<const std::string> clauses);
  // Whether a comes before b.
  bool operator()(const CatalogEntry& a, const CatalogEntry& b) const;

 private:
  std::vector<Order> orders_;
};

}  // namespace assay::filter
