#include <boost/url.hpp>
#include <cmath>
#include <iostream>

#include "bench/load/load.hpp"
#include "ops/cli/options.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay::cli {
namespace {

// CLI11's own tells the largest number that there is, in its 309 digits.
CLI::Validator number_from_zero() {
  auto check = [](std::string& text) {
    double number = 0;
    if (CLI::detail::lexical_cast(text, number) && std::isfinite(number) && number >= 0) return std::string();
    return fmt::format("\"{}\" is not a number of 0 or more", text);
  };
  return {check, "AT LEAST 0"};
}

}  // namespace

int load(std::vector<std::string> args) {
  CLI::App app("Sends feedback at a set rate, whatever the server does (open loop), and checks what it sent",
               "assay load");
  load::LoadConfig config;
  std::string target = "http://127.0.0.1:8080";
  std::string output = "text";
  bool no_traces = false;
  app.add_option("--target", target, "The front door, by address: http://127.0.0.1:8080")->capture_default_str();
  app.add_option("--connections", config.connections, "Keep-alive connections")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  app.add_option("--rate", config.rate, "Requests a second over all connections; 0: as fast as answers come")
      ->check(number_from_zero())
      ->capture_default_str();
  add_duration(app, "--duration", config.duration, "How long, in whole seconds", std::chrono::seconds(1));
  app.add_option("--requests", config.requests_max, "At most so many; 0: no bound but the duration")
      ->check(zero_or_more())
      ->capture_default_str();
  app.add_option("--traces", config.traces, "Traces that the feedbacks are about")
      ->check(at_least_one())
      ->capture_default_str();
  app.add_flag("--no-traces", no_traces, "The traces of this run are there already: don't send them");
  app.add_option("--run", config.run, "Names this run's ids: another name for new ones")->capture_default_str();
  app.add_option("--early", config.early_share, "Share of the traces sent only after their feedback")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--repeat", config.repeat_share,
                 "Share of the feedbacks sent twice with the same Idempotency-Key, beyond --rate")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("--keyed", config.keyed, "Every feedback has an Idempotency-Key");
  app.add_flag("--by-trace-id", config.by_trace_id, "By trace_id instead of client_request_id");
  app.add_flag("--mlflow", config.mlflow, "By MLflow's API: POST .../traces/{trace_id}/assessments");
  app.add_flag("--search", config.search, "Searches for client_request_ids by MLflow's API instead of feedback");
  app.add_flag("--verify", config.check, "Afterwards ask for the receipt of every accepted id until it is committed");
  add_duration(app, "--verify-for", config.check_for, "How long the receipts may take, in whole seconds",
               std::chrono::seconds(1));
  app.add_option("--output", output, "text or json")->check(CLI::IsMember({"text", "json"}))->capture_default_str();
  const auto settle = [&]() -> std::optional<std::string> {
    const auto url = boost::urls::parse_uri(target);
    const bool is_address = url && url->scheme() == "http" && url->host_type() != boost::urls::host_type::name &&
                            !url->has_userinfo() && (url->encoded_path().empty() || url->encoded_path() == "/") &&
                            !url->has_query() && !url->has_fragment();
    if (!is_address) return "--target: it is not http://ADDRESS:PORT";
    const auto port = parse_number<std::uint16_t>(url->has_port() ? std::string_view(url->port()) : "80");
    if (!port || *port == 0) return "--target: its port is none";
    config.host = url->host_address();
    config.port = *port;
    if (config.search && config.check) return "--verify is of feedback: searches accept nothing that has a receipt";
    if (config.keyed && (config.mlflow || config.search)) return "--keyed is of feedback by the door's own API";
    if (no_traces && config.early_share > 0) return "--early: with --no-traces none is sent, before or after";
    return {};
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;
  config.make_traces = !no_traces;
  const auto result = load::run_load(config);
  if (!result) return complain(result.error());
  std::cout << (output == "json" ? to_json(config, *result) + "\n" : to_text(config, *result));
  const bool complete = !config.check || result->committed == result->checked;
  return result->accepted > 0 && complete ? ok : failure;
}

}  // namespace assay::cli
