// simulation [--seeds 2000] [--first 1] [--seed N] [--trace]: see README.md.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "tests/simulation/world.hpp"

int main(int argc, char** argv) {
  using namespace assay::simulation;
  // Short: under a sanitizer, which takes ten times as long for each.
  std::uint64_t seeds = std::getenv("ASSAY_TEST_LONG") ? 100'000 : std::getenv("ASSAY_TEST_SHORT") ? 200 : 2000;
  std::uint64_t first = 1, one = 0;
  bool trace = false;
  CLI::App app{"Runs the pipeline under a virtual clock, with faults drawn from a seed, and checks the promises."};
  app.add_option("--seeds", seeds, "How many; 2,000, with ASSAY_TEST_LONG set 100,000, with ASSAY_TEST_SHORT 200");
  app.add_option("--first", first, "The first one");
  app.add_option("--seed", one, "Only this one");
  app.add_flag("--trace", trace, "Say what happens");
  CLI11_PARSE(app, argc, argv);
  if (one) first = one, seeds = 1;
  spdlog::set_level(trace ? spdlog::level::info : spdlog::level::off);
  spdlog::set_pattern("    %v");
  assay::Metrics metrics;
  const auto began = std::chrono::steady_clock::now();
  std::uint64_t failed = 0;
  for (auto seed = first; seed < first + seeds; ++seed) {
    std::string problem;
    try {
      World(seed, metrics, trace).run();
      continue;
    } catch (const Violation& violation) {
      problem = violation.what;
    } catch (const std::exception& e) {
      problem = e.what();
    }
    std::printf("seed %llu: %s\n  replay: simulation --seed %llu --trace\n", static_cast<unsigned long long>(seed),
                problem.c_str(), static_cast<unsigned long long>(seed));
    if (++failed >= 5) break;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  std::printf("simulation: %llu seeds from %llu, %s, %.1f s\n", static_cast<unsigned long long>(seeds),
              static_cast<unsigned long long>(first), failed ? "FAILED" : "all promises kept", took.count());
  return failed ? 1 : 0;
}
