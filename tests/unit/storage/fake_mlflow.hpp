#pragma once
// An MLflow server as far as the sink talks to it, with faults on demand: traces and assessments in maps.
#include <boost/json.hpp>
#include <functional>
#include <map>
#include <mutex>

#include "tests/support/scripted_server.hpp"

namespace assay::test {

class FakeMlflow {
 public:
  struct Request {
    std::string method, path, body, experiment_id = {};
  };
  // Asked before (false) and after (true) a request has had its effect; a status other than 0 is the answer instead.
  // 1: the connection is closed without one.
  using Fault = std::function<int(const Request&, bool after)>;

  FakeMlflow() : server_([this](ScriptedServer::Conversation& c) { serve(c); }) {}

  std::string url() const { return server_.url(); }
  void fault(Fault fault) {
    std::scoped_lock lock(mutex_);
    fault_ = std::move(fault);
  }
  // An MLflow of before 3.4, or one behind a proxy that keeps it to itself, says none.
  void says_version(std::string version) {
    std::scoped_lock lock(mutex_);
    version_ = std::move(version);
  }
  void takes_no_otlp() {
    std::scoped_lock lock(mutex_);
    otlp_taken_ = false;
  }
  // As somebody else has told it.
  void has_trace(const std::string& id, boost::json::object info) {
    std::scoped_lock lock(mutex_);
    traces_[id] = std::move(info);
  }
  // As nginx answers where the URL says http:.
  void is_behind_tls(bool so) {
    std::scoped_lock lock(mutex_);
    is_behind_tls_ = so;
  }
  void delete_experiments(bool so) {
    std::scoped_lock lock(mutex_);
    deleted_ = so;
  }
  void serves_no_artifacts() {
    std::scoped_lock lock(mutex_);
    artifacts_served_ = false;
  }
  std::map<std::string, boost::json::object> assessments() const {
    std::scoped_lock lock(mutex_);
    return assessments_;
  }
  std::map<std::string, boost::json::object> traces() const {
    std::scoped_lock lock(mutex_);
    return traces_;
  }
  std::map<std::string, std::string> artifacts() const {
    std::scoped_lock lock(mutex_);
    return artifacts_;
  }
  // POST /v1/traces: the experiment and the body of each.
  std::vector<std::pair<std::string, std::string>> otlp() const {
    std::scoped_lock lock(mutex_);
    return otlp_;
  }
  std::vector<std::string> said() const {
    std::scoped_lock lock(mutex_);
    return said_;
  }

 private:
  struct Answer {
    int status;
    boost::json::value body = boost::json::object();
  };
  static Answer missing(const std::string& what) {
    return {404, {{"error_code", "RESOURCE_DOES_NOT_EXIST"}, {"message", what + " not found."}}};
  }

  static Answer refused(const std::string& why) {
    return {400, {{"error_code", "INVALID_PARAMETER_VALUE"}, {"message", why}}};
  }

  void serve(ScriptedServer::Conversation& conversation) {
    while (const auto raw = conversation.read_request()) {
      Request request;
      const auto space = raw->find(' ');
      request.method = raw->substr(0, space);
      request.path = raw->substr(space + 1, raw->find(' ', space + 1) - space - 1);
      request.body = raw->substr(raw->find("\r\n\r\n") + 4);
      const std::string header = "x-mlflow-experiment-id: ";
      if (const auto at = raw->find(header); at != raw->npos)
        request.experiment_id = raw->substr(at + header.size(), raw->find("\r\n", at) - at - header.size());
      Fault fault;
      {
        std::scoped_lock lock(mutex_);
        fault = fault_;
        said_.push_back(request.method + " " + request.path);
      }
      int status = fault ? fault(request, false) : 0;
      if (const auto plain = in_plain_words(request); plain && status == 0) {
        conversation.answer(plain->second, plain->first);
        continue;
      }
      Answer answer{status};
      if (status == 400) answer.body = {{"error_code", "INVALID_PARAMETER_VALUE"}, {"message", "fault"}};
      if (status == 0) {
        std::unique_lock lock(mutex_);
        answer = act(request);
        lock.unlock();
        status = fault ? fault(request, true) : 0;
        if (status) answer = {status, {{"error_code", "INTERNAL_ERROR"}, {"message", "fault"}}};
      }
      if (status == 1) return;
      conversation.answer(boost::json::serialize(answer.body), std::to_string(answer.status) + " X");
    }
  }

  // Flask unquotes a path before it looks for its route; then a slash in an id parts it.
  std::optional<std::pair<std::string, std::string>> in_plain_words(const Request& request) const {
    std::scoped_lock lock(mutex_);
    if (request.path.find("%2F") != request.path.npos)
      return std::pair("404 NOT FOUND", "<!doctype html>\n<title>404 Not Found</title>");
    if (is_behind_tls_)
      return std::pair("400 Bad Request",
                       "<html><title>400 The plain HTTP request was sent to HTTPS port</title></html>");
    if (request.path == "/version" && version_.empty()) return std::pair("404 NOT FOUND", "<!doctype html>");
    if (request.path == "/version") return std::pair("200 OK", version_);
    if (request.path == "/v1/traces" && !otlp_taken_)
      return std::pair("501 NOT IMPLEMENTED", R"({"detail":"REST OTLP span logging is not supported by FileStore"})");
    if (!artifacts_served_ && request.path.find("/mlflow-artifacts/") != request.path.npos)
      return std::pair(
          "503 SERVICE UNAVAILABLE",
          R"({"detail":"Artifact serving is disabled. Run `mlflow server` with `--serve-artifacts` to enable."})");
    return {};
  }

  Answer act(const Request& request) {
    const auto& path = request.path;
    if (path == "/v1/traces") {
      otlp_.emplace_back(request.experiment_id, request.body);
      return {200};
    }
    if (path.starts_with("/api/2.0/mlflow/experiments/get-by-name")) {
      const auto at = experiments_.find(path.substr(path.find('=') + 1));
      if (at == experiments_.end()) return missing("experiment");
      return {200, {{"experiment", {{"experiment_id", at->second}}}}};
    }
    if (path == "/api/2.0/mlflow/experiments/search") return {200, {{"experiments", boost::json::array()}}};
    if (path == "/api/2.0/mlflow/experiments/create") {
      const auto name = std::string(boost::json::parse(request.body).at("name").as_string());
      return {200, {{"experiment_id", experiments_[name] = std::to_string(experiments_.size() + 1)}}};
    }
    if (path.starts_with("/api/2.0/mlflow-artifacts/")) {
      artifacts_[path] = request.body;
      return {200};
    }
    if (path == "/api/2.0/mlflow/traces/delete-traces") {
      const auto body = boost::json::parse(request.body);
      for (const auto& id : body.at("request_ids").as_array()) {
        traces_.erase(std::string(id.as_string()));
        std::erase_if(assessments_, [&](const auto& a) { return a.second.at("trace_id") == id; });
      }
      return {200};
    }
    if (path == "/api/3.0/mlflow/traces") {
      const auto body = boost::json::parse(request.body);
      const auto& info = body.at("trace").at("trace_info").as_object();
      if (info.at("trace_location").at("mlflow_experiment").at("experiment_id") == "999") return missing("Experiment");
      if (deleted_) return refused("The experiment 1 must be in the 'active' state. Current state is deleted.");
      traces_[std::string(info.at("trace_id").as_string())] = info;
      return {200, body};
    }
    return act_on_trace(request);
  }

  Answer act_on_trace(const Request& request) {
    const std::string prefix = "/mlflow/traces/";
    const auto rest = request.path.substr(request.path.find(prefix) + prefix.size());
    const auto trace_id = rest.substr(0, rest.find('/'));
    const auto tail = rest.size() > trace_id.size() ? rest.substr(trace_id.size() + 1) : "";
    const auto trace = traces_.find(trace_id);
    const auto body = request.body.empty() ? boost::json::value() : boost::json::parse(request.body);
    if (trace == traces_.end()) return missing("Trace");
    if (tail.empty()) {
      auto info = trace->second;
      auto& list = info["assessments"].emplace_array();
      for (const auto& [id, assessment] : assessments_)
        if (assessment.at("trace_id") == boost::json::string(trace_id)) list.push_back(assessment);
      return {200, {{"trace", {{"trace_info", info}}}}};
    }
    if (tail == "tags" && request.method == "DELETE") {
      trace->second["tags"].as_object().erase(body.at("key").as_string());
      return {200};
    }
    if (tail == "tags") {
      trace->second["tags"].as_object()[body.at("key").as_string()] = body.at("value");
      return {200};
    }
    if (tail == "assessments") {
      auto assessment = body.at("assessment").as_object();
      const auto id = std::string(assessment.at("assessment_id").as_string());
      const auto* over = assessment.if_contains("overrides");
      if (over && !assessments_.contains(std::string(over->as_string()))) return missing("Assessment with ID");
      if (assessments_.contains(id))
        return {500, {{"error_code", "INTERNAL_ERROR"}, {"message", "Failed due to a constraint violation."}}};
      assessments_[id] = assessment;
      return {200, body};
    }
    const auto id = tail.substr(tail.find('/') + 1);
    const auto at = assessments_.find(id);
    if (request.method == "DELETE") {
      assessments_.erase(id);
      return {200};
    }
    if (at == assessments_.end() || at->second.at("trace_id") != boost::json::string(trace_id))
      return missing("Assessment");
    const bool wrong_kind = request.method == "PATCH" && body.at("assessment").as_object().contains("expectation") &&
                            at->second.contains("feedback");
    if (wrong_kind) return refused("Cannot update expectation value on a Feedback assessment.");
    if (request.method == "PATCH")
      for (const auto& [name, value] : body.at("assessment").as_object()) at->second[name] = value;
    return {200, {{"assessment", at->second}}};
  }

  mutable std::mutex mutex_;
  Fault fault_;
  bool artifacts_served_ = true, otlp_taken_ = true, is_behind_tls_ = false, deleted_ = false;
  std::string version_;
  std::vector<std::pair<std::string, std::string>> otlp_;
  std::vector<std::string> said_;
  std::map<std::string, std::string> experiments_, artifacts_;
  std::map<std::string, boost::json::object> traces_, assessments_;
  ScriptedServer server_;  // last: its threads end before what they use
};

}  // namespace assay::test
