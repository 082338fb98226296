#include "ingest/front_door.hpp"

#include <algorithm>
#include <thread>

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

constexpr std::chrono::seconds last_words{1};

}  // namespace

FrontDoor::FrontDoor(IngestConfig config, EventLog& log, Metrics& metrics, const Clock& clock)
    : config_(std::move(config)),
      metrics_(metrics),
      clock_(clock),
      admission_(config_.admission),
      recent_(config_.recent_ids_max) {
  health_.live = [this] {
    if (server_->silent_for() >= config_.loop_silence_max) return false;
    return std::all_of(live_checks_.begin(), live_checks_.end(), [](const auto& check) { return check(); });
  };
  health_.draining = [this] { return leaving_ || server_->draining(); };
  health_.checks.push_back({"log", [&log] { return log.writable(); }, [&log] { return log.feedback_alone(); }});
  add_health_routes(router_, health_, metrics_);
}

FrontDoor::~FrontDoor() = default;

Result<void, std::string> FrontDoor::listen() {
  server_ = std::make_unique<Server>(config_.http, router_, admission_, clock_, metrics_, gate_, tls_);
  if (const auto listening = server_->listen(); !listening) {
    server_.reset();
    return "can't listen on " + config_.http.address + ":" + std::to_string(config_.http.port) + ": " +
           listening.error().message();
  }
  return {};
}

Result<void, std::string> FrontDoor::start() {
  if (!server_)
    if (const auto listening = listen(); !listening) return listening;
  (void)server_->start();  // it listens: nothing of it can fail any more
  return {};
}

void FrontDoor::begin_drain() {
  if (server_) server_->begin_drain();
}

void FrontDoor::insist() {
  if (server_) server_->insist();
}

void FrontDoor::leave() {
  leaving_ = true;
  std::this_thread::sleep_for(config_.http.drain_delay);
}

bool FrontDoor::drain(const std::function<void()>& last_call) {
  if (!server_) return true;
  server_->begin_drain();
  if (server_->wait(config_.http.drain_max)) return true;
  spdlog::warn("event=drain_cut after_ms={}", config_.http.drain_max.count());
  if (last_call) {
    last_call();
    if (server_->wait(last_words)) return false;
  }
  server_->insist();
  // What a handler waits for has limits of its own, so this ends.
  while (!server_->wait(std::chrono::seconds(10))) spdlog::warn("event=drain_waits");
  return false;
}

}  // namespace assay
