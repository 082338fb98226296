#include <exception>
#include <iostream>
#include <string_view>

#include "ops/cli/options.hpp"
#include "ops/runtime/descriptors.hpp"
#include "ops/runtime/signals.hpp"

// Read by jemalloc, where it is linked (jemalloc(3), "TUNING"): one arena a processor instead of four, since what one
// thread allocates another frees, and memory that has lain unused for a second is the system's again. MALLOC_CONF in
// the environment goes before it.
extern "C" {
extern const char* malloc_conf;
const char* malloc_conf = "percpu_arena:percpu,dirty_decay_ms:1000";
}

namespace {

using namespace assay;

constexpr cli::Command commands[] = {
    {"serve", "everything in one process: the front door, the event log, the workers, the store", cli::serve, true},
    {"ingest", "the front door alone, in front of Kafka", cli::ingest, true},
    {"worker", "resolve and commit, behind Kafka", cli::worker, true},
    {"topics", "create | check | describe the topics on Kafka", cli::topics},
    {"deadletters", "list | show | replay | purge what could not be committed", cli::dead_letters},
    {"sinks", "list | replay the sinks of the workers on Kafka, or of serve", cli::sinks},
    {"verify", "recount every record of the log against the sinks", cli::verify},
    {"report", "the figures of an experiment's feedback in a time window", cli::report},
    {"backup", "copy the data of a serve that goes on meanwhile", cli::backup},
    {"forget", "take away what one user said", cli::forget},
    {"keys", "create | list | revoke API keys; rotate-capabilities", cli::keys},
    {"load", "an open-loop load generator that checks what it sent", cli::load},
};

int help(std::ostream& out) {
  out << "assay " ASSAY_VERSION
         ": user feedback for GenAI applications, accepted durably, committed exactly once\n\n"
         "usage: assay COMMAND [--help | flags]\n\n";
  for (const auto& command : commands)
    out << "  " << command.name << std::string(14 - command.name.size(), ' ') << command.help << "\n";
  out << "\nEvery flag is also an environment variable (--listen: ASSAY_LISTEN) and a key of --config FILE.\n"
         "Of one that may be repeated the variable has one value a line.\n";
  return cli::ok;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h" || name == "help") return help(std::cout);
  if (name == "--version") {
    std::cout << "assay " ASSAY_VERSION "\n";
    return cli::ok;
  }
  cli::share_settings(commands);
  raise_descriptor_limit();
  try {
    for (const auto& command : commands) {
      if (command.name == name) {
        if (command.drains) assay::block_stop_signals();
        return command.run({argv + 2, argv + argc});
      }
    }
  } catch (const std::exception& e) {
    return cli::complain(e.what());
  }
  if (!name.empty()) cli::complain("there is no command \"" + std::string(name) + "\"");
  help(std::cerr);
  return cli::usage;
}
