#include <CLI/CLI.hpp>
#include <fstream>

#include "bench/streams/bench_streams.hpp"

namespace assay::bench {

std::size_t private_bytes(long pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  std::size_t total = 0;
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("RssAnon:")) total += std::stoul(line.substr(8)) * 1024;
  return total;
}

}  // namespace assay::bench

int main(int argc, char** argv) {
  using namespace assay::bench;
  CLI::App app("What streams and the OpenAI door cost");
  Settings s;
  app.require_subcommand(1);
  const auto shared = [&s](CLI::App* part) {
    part->add_option("--port", s.port)->capture_default_str();
    part->add_option("--tokens-per-second", s.tokens_per_second)->capture_default_str();
    part->add_option("--tokens", s.tokens)->capture_default_str();
    return part;
  };
  auto* model = shared(app.add_subcommand("model", "A model of its own"));
  auto* read = shared(app.add_subcommand("read", "Reads streams"));
  read->add_option("--streams", s.streams)->capture_default_str();
  read->add_option("--opened-per-second", s.opened_per_second)->capture_default_str();
  read->add_option("--pid", s.pid, "Of the server, for its memory");
  read->add_flag("--idle", s.idle, "Only hold them open for --seconds");
  read->add_option("--seconds", s.seconds)->capture_default_str();
  auto* ask = shared(app.add_subcommand("ask", "Asks for whole completions"));
  ask->add_option("--rate", s.rate)->capture_default_str();
  ask->add_option("--seconds", s.seconds)->capture_default_str();
  ask->add_option("--connections", s.connections)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (*model) return serve_mock_model(s);
  return *read ? read_streams(s) : ask_openai(s);
}
