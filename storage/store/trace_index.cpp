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

constexpr char by_place = 'e';

bool no_nul(std::string_view text) { return text.find('\0') == text.npos; }

}  // namespace

bool has_tag(std::string_view key, std::string_view value) {
  return value.size() <= tag_value_bytes_max && key != "mlflow.artifactLocation" &&
         key != "mlflow.trace.spansLocation" && key != "assay.feedback" && no_nul(key) && no_nul(value);
}

std::string of_experiment(std::string_view experiment) { return joined(by_place, {experiment}); }
std::string of_session(std::string_view experiment, std::string_view session) {
  return joined('s', {experiment, session});
}
std::string of_tag(std::string_view experiment, std::string_view key, std::string_view value) {
  return joined('t', {experiment, key, value});
}
std::string of_state(std::string_view experiment, std::string_view state) { return joined('x', {experiment, state}); }
std::string of_request(std::string_view client_request_id) { return joined('c', {client_request_id}); }

static std::string place_of(const TraceRow& row) {
  if (row.empty()) return {};
  const auto experiment = row.experiment_id();
  const auto time = experiment.empty() && row.time() == Instant() ? row.after() : row.time();
  return experiment + '\0' + big_endian(store_keys::time_bits(time));
}

std::vector<std::string> keys_of(const std::string& trace_id, const TraceRow& row) {
  std::vector<std::string> keys;
  const auto rest = big_endian(store_keys::time_bits(row.time())) + trace_id;
  if (const auto request = row.client_request_id(); !request.empty()) keys.push_back(of_request(request) + rest);
  const auto place = place_of(row);
  if (place.empty()) return keys;
  keys.push_back(by_place + place + trace_id);
  const auto experiment = place.substr(0, place.size() - 9);
  if (experiment.empty()) return keys;
  if (const auto session = row.text_at("trace_metadata." + std::string(session_key)); session && no_nul(*session))
    keys.push_back(of_session(experiment, *session) + rest);
  if (const auto state = row.text_at("state"); state && no_nul(*state))
    keys.push_back(of_state(experiment, *state) + rest);
  row.each("tags.", [&](std::string_view key, const std::string& value) {
    if (has_tag(key, value)) keys.push_back(of_tag(experiment, key, value) + rest);
  });
  return keys;
}

std::string place_in(const std::vector<std::string>& keys, std::string_view trace_id) {
  for (const auto& key : keys)
    if (key.front() == by_place) return key.substr(1, key.size() - 1 - trace_id.size());
  return {};
}

}  // namespace assay::trace_index
