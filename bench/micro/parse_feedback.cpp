// What does it cost to check the body of a feedback, beside simdjson's bare walk and Boost.JSON?
#include <benchmark/benchmark.h>

#include <boost/json.hpp>

#include "ingest/feedback/assessment_body.hpp"
#include "ingest/http/query.hpp"

namespace assay {
namespace {

constexpr std::string_view body =
    R"({"is_correct":true,"comment":"a good answer, thank you; it was what I had been looking for all day"})";

std::string padded() { return std::string(body) + std::string(simdjson::SIMDJSON_PADDING, ' '); }

void parse_and_validate(benchmark::State& state) {
  const auto bytes = padded();
  for (auto _ : state) {
    const auto parsed = parse_assessment_body(std::string_view(bytes).substr(0, body.size()), true);
    if (!parsed) state.SkipWithError("refused");
    benchmark::DoNotOptimize(parsed);
  }
}
BENCHMARK(parse_and_validate);

void parse_query(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(Query::parse("client_request_id=req-0123456789abcdef&user_id=u-17"));
}
BENCHMARK(parse_query);

// The floor: simdjson's tree of the same bytes, nothing asked of it.
void simdjson_parse(benchmark::State& state) {
  const auto bytes = padded();
  simdjson::dom::parser parser;
  for (auto _ : state) {
    simdjson::dom::element element;
    if (parser.parse(bytes.data(), body.size(), false).get(element)) state.SkipWithError("parse");
    benchmark::DoNotOptimize(element);
  }
}
BENCHMARK(simdjson_parse);

void boost_json_parse(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(boost::json::parse({body.data(), body.size()}));
}
BENCHMARK(boost_json_parse);

}  // namespace
}  // namespace assay
