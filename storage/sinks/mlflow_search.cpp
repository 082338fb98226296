#include "storage/sinks/mlflow_search.hpp"

#include <simdjson.h>

#include "ops/runtime/error.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/sinks/mlflow_json.hpp"

namespace assay::mlflow {
namespace {

std::string text_at(simdjson::dom::element root, std::string_view pointer) {
  std::string_view text;
  return root.at_pointer(pointer).get_string().get(text) ? std::string() : std::string(text);
}

}  // namespace

std::string experiments_question(std::string_view page_token) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("max_results", 1000);
  if (!page_token.empty()) json.field("page_token", page_token);
  json.end_object();
  return body;
}

Result<ExperimentsPage> experiments_in(std::string_view answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(answer.data(), answer.size()).get(root)) return make_error_code(Error::unsupported);
  ExperimentsPage page{.next = text_at(root, "/next_page_token")};
  simdjson::dom::array list;
  if (!root["experiments"].get(list))
    for (const auto experiment : list) page.ids.push_back(text_at(experiment, "/experiment_id"));
  return page;
}

std::string traces_question(const TracesQuestion& question) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("locations").begin_array();
  for (const auto& id : question.experiments) {
    json.begin_object().field("type", "MLFLOW_EXPERIMENT").key("mlflow_experiment").begin_object();
    json.field("experiment_id", id).end_object().end_object();
  }
  json.end_array().field("filter", question.filter).field("max_results", question.results_max);
  json.key("order_by").begin_array();
  json.value(question.order == Order::oldest_first ? "timestamp_ms ASC" : "timestamp_ms DESC").end_array();
  if (!question.page_token.empty()) json.field("page_token", question.page_token);
  json.end_object();
  return body;
}

Result<TracesPage> traces_in(std::string_view answer) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(answer.data(), answer.size()).get(root)) return make_error_code(Error::unsupported);
  TracesPage page{.next = text_at(root, "/next_page_token")};
  static const auto metadata = "/trace_metadata/" + std::string(long_request_id);
  simdjson::dom::array list;
  if (!root["traces"].get(list))
    for (const auto trace : list) {
      FoundTrace found{.trace_id = text_at(trace, "/trace_id")};
      if (found.trace_id.empty()) continue;
      for (const std::string_view path : {std::string_view("/client_request_id"), std::string_view(metadata)})
        if (auto id = text_at(trace, path); !id.empty()) found.request_ids.push_back(std::move(id));
      page.traces.push_back(std::move(found));
    }
  return page;
}

bool quotable(std::string_view text) { return text.find_first_of("'\"\\") == text.npos; }

}  // namespace assay::mlflow
