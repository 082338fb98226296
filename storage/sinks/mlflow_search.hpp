#pragma once
// What an MLflow server is asked by who looks for traces in it, and what its answers say. The caller sends the bodies.
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/result.hpp"

namespace assay::mlflow {

inline constexpr const char* experiments_path = "/api/2.0/mlflow/experiments/search";
inline constexpr const char* traces_path = "/api/3.0/mlflow/traces/search";
inline constexpr std::size_t experiments_at_once = 100;  // that one search for traces names

struct ExperimentsPage {
  std::vector<std::string> ids;
  std::string next;  // the token of the next page; empty: this is the last
};
std::string experiments_question(std::string_view page_token);
// Error::unsupported: that is no answer of MLflow's.
Result<ExperimentsPage> experiments_in(std::string_view answer);

enum class Order : std::uint8_t { oldest_first, newest_first };
struct TracesQuestion {
  const std::vector<std::string>& experiments;  // experiments_at_once of them at most
  std::string_view filter;
  Order order = Order::newest_first;
  std::size_t results_max = 500;  // MLflow's most
  std::string_view page_token = {};
};
struct FoundTrace {
  std::string trace_id;
  std::vector<std::string> request_ids;  // the client_request_ids that name it
};
struct TracesPage {
  std::vector<FoundTrace> traces;
  std::string next;
};
std::string traces_question(const TracesQuestion& question);
Result<TracesPage> traces_in(std::string_view answer);

// Whether a text can stand between single quotes in a filter: MLflow knows no way to escape one.
bool quotable(std::string_view text);

}  // namespace assay::mlflow
