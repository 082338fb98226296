#pragma once
// The flags of the front door, which `serve` and `ingest` share.
#include <chrono>
#include <optional>
#include <string>

#include "ingest/chat/chat_config.hpp"
#include "ingest/chat/openai_backend.hpp"
#include "ingest/feedback/feedback_door.hpp"
#include "ingest/ingest_config.hpp"
#include "ingest/proxy/reverse_proxy.hpp"
#include "ingest/ws/chat_socket.hpp"
#include "ops/cli/access_options.hpp"
#include "ops/cli/options.hpp"

namespace assay::cli {

struct FrontDoorOptions {
  std::string listen = "127.0.0.1:8080";
  std::string data = "assay-data";
  IngestConfig ingest;
  AccessOptions access;
  ChatConfig chat;
  FeedbackConfig feedback;
  OpenAiConfig model;
  ChatSocketConfig socket;
  std::string model_ca_file;
  std::chrono::milliseconds builtin_pause{10};
  std::optional<std::size_t> connections_per_address;
  std::string unknown_trace = "park";
  bool reject_unknown_trace = false;  // 404 instead of parking: needs a view or an MLflow behind
  bool own_experiments = true;        // see MlflowDoorConfig
  ProxyConfig behind;                 // the MLflow server that everything goes to which this door does not answer
  std::size_t model_connections_max = 20'000;
  std::string behind_authorization;  // of what the door itself asks it; a client's request brings its own

  void add_to(CLI::App& app);
  // After parsing: what is wrong, in a sentence.
  std::optional<std::string> settle();
  // When all else is known: connections get what the limit of open files leaves.
  std::optional<std::string> fit_descriptors();
};

// "127.0.0.1:8080" or "[::1]:8080".
struct Address {
  std::string host;
  std::uint16_t port;
};
std::optional<Address> parse_address(const std::string& text);

}  // namespace assay::cli
