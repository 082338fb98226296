#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
  CLI::App app("assay: user feedback for GenAI applications, accepted durably, committed exactly once");
  app.set_version_flag("--version", ASSAY_VERSION);
  app.require_subcommand(1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return 0;
}
