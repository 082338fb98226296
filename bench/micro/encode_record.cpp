// What does it cost to write a feedback record and to read it back, beside simdjson, Boost.JSON and a plain copy?
#include <benchmark/benchmark.h>
#include <simdjson.h>

#include <boost/json.hpp>

#include "ops/runtime/ids.hpp"
#include "storage/records/assessment_record.hpp"
#include "storage/records/feedback_record.hpp"

namespace assay {
namespace {

FeedbackRecord feedback() {
  FeedbackRecord record{.target = {Target::Kind::client_request_id, "req-0123456789abcdef0123456789abcdef"},
                        .accepted_at = *parse_time("2026-11-23T15:57:31.547Z"),
                        .body_hash = 42};
  record.items.push_back(
      {"a-0123456789abcdef0123456789abcdef", "a-0123456789abcdef0123456789abcdef",
       R"({"assessment_id":"a-0123456789abcdef0123456789abcdef","assessment_name":"user_feedback","source":{"source_type":"HUMAN","source_id":"u-17"},"create_time":"2026-11-23T15:57:31.547Z","last_update_time":"2026-11-23T15:57:31.547Z","feedback":{"value":true},"rationale":"a good answer","valid":true})"});
  return record;
}

void write_feedback_record(benchmark::State& state) {
  const auto record = feedback();
  for (auto _ : state) benchmark::DoNotOptimize(to_record(record));
}
BENCHMARK(write_feedback_record);

void read_feedback_record(benchmark::State& state) {
  const auto value = *to_record(feedback()).value;
  for (auto _ : state) benchmark::DoNotOptimize(parse_feedback_record(value));
}
BENCHMARK(read_feedback_record);

void write_assessment_record(benchmark::State& state) {
  const auto record = feedback();
  for (auto _ : state)
    benchmark::DoNotOptimize(
        forward(record.items[0], Op::create, record.target, record.accepted_at, "tr-0123456789abcdef0123456789abcdef"));
}
BENCHMARK(write_assessment_record);

void random_ids(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(random_id(assessment_prefix));
}
BENCHMARK(random_ids);

void derived_ids(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(derived_id(assessment_prefix, {"key-1", "feedback", "trace_id", "tr-1", "user_feedback"}));
}
BENCHMARK(derived_ids);

// Floors: the general tree of Boost.JSON, simdjson's walk over the same bytes, and a copy of them.
void simdjson_walk(benchmark::State& state) {
  const simdjson::padded_string value(*to_record(feedback()).value);
  simdjson::ondemand::parser parser;
  for (auto _ : state) {
    auto document = parser.iterate(value);
    std::size_t fields = 0;
    for (auto field : document.get_object()) {
      std::string_view key, raw;
      if (field.unescaped_key().get(key) || simdjson::to_json_string(field.value()).get(raw)) state.SkipWithError("");
      ++fields;
    }
    benchmark::DoNotOptimize(fields);
  }
}
BENCHMARK(simdjson_walk);

void boost_json_parse_and_serialize(benchmark::State& state) {
  const auto value = *to_record(feedback()).value;
  for (auto _ : state) benchmark::DoNotOptimize(boost::json::serialize(boost::json::parse(value)));
}
BENCHMARK(boost_json_parse_and_serialize);

void copy_of_the_bytes(benchmark::State& state) {
  const auto value = *to_record(feedback()).value;
  for (auto _ : state) {
    std::string copy(value);
    benchmark::DoNotOptimize(copy.data());
  }
}
BENCHMARK(copy_of_the_bytes);

}  // namespace
}  // namespace assay
