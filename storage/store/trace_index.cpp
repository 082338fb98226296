#include "storage/store/trace_index.hpp"

#include "storage/store/keys.hpp"

namespace assay::trace_index {
namespace {

std::string joined(char kind, std::initializer_list<std::string_view> parts) {
  std::string key(1, kind);
  for (const auto part : parts) {
    key += part;
    key += '\0';
  }
  return key;
}

bool no_nul(std::string_view text) { return text.find('\0') == text.npos; }

}  // namespace

bool has_tag(std::string_view key, std::string_view value) {
  return value.size() <= tag_value_bytes_max && key != "mlflow.artifactLocation" &&
         key != "mlflow.trace.spansLocation" && key != "assay.feedback" && no_nul(key) && no_nul(value);
}

std::string of_experiment(std::string_view experiment) { return joined('e', {experiment}); }
std::string of_session(std::string_view experiment, std::string_view session) {
  return joined('s', {experiment, session});
}
std::string of_tag(std::string_view experiment, std::string_view key, std::string_view value) {
  return joined('t', {experiment, key, value});
}
std::string of_state(std::string_view experiment, std::string_view state) { return joined('x', {experiment, state}); }
std::string of_request(std::string_view client_request_id) { return joined('c', {client_request_id}); }

std::vector<std::string> keys_of(const std::string& trace_id, const TraceRow& row) {
  std::vector<std::string> keys;
  const auto rest = big_endian(store_keys::time_bits(row.time())) + trace_id;
  if (const auto request = row.client_request_id(); !request.empty()) keys.push_back(of_request(request) + rest);
  const auto experiment = row.experiment_id();
  if (experiment.empty()) {
    if (row.empty()) return keys;
    const auto time = row.time() == Instant() ? row.after() : row.time();
    keys.push_back(of_experiment(experiment) + big_endian(store_keys::time_bits(time)) + trace_id);
    return keys;
  }
  keys.push_back(of_experiment(experiment) + rest);
  if (const auto session = row.text_at("trace_metadata." + std::string(session_key)); session && no_nul(*session))
    keys.push_back(of_session(experiment, *session) + rest);
  if (const auto state = row.text_at("state"); state && no_nul(*state))
    keys.push_back(of_state(experiment, *state) + rest);
  row.each("tags.", [&](std::string_view key, const std::string& value) {
    if (has_tag(key, value)) keys.push_back(of_tag(experiment, key, value) + rest);
  });
  return keys;
}

}  // namespace assay::trace_index
