#include "ingest/server/server.hpp"

#include <boost/asio/ip/address.hpp>
#include <limits>

namespace assay {

Server::Server(const HttpConfig& config, const Router& router, Admission& admission, const Clock& clock,
               Metrics& metrics, Gate* gate, TlsSlot* tls)
    : answers_(std::make_shared<Admission>(AdmissionLimits{.bytes_max = admission.bytes_max(Admission::Kind::feedback),
                                                           .requests_max = std::numeric_limits<std::size_t>::max()})),
      metrics_(metrics, router, admission, answers_),
      shared_{config, router, admission, *answers_, clock, metrics_, gate, tls} {}

Server::~Server() {
  insist();
  for (auto& thread : threads_) thread->join();
}

Result<void> Server::listen() {
  error_code ec;
  const auto address = asio::ip::make_address(shared_.config.address, ec);
  if (ec) return ec;
  asio::ip::tcp::endpoint at(address, shared_.config.port);
  std::vector<std::unique_ptr<ServerThread>> threads;
  for (unsigned i = 0; i < std::max(1u, shared_.config.threads); ++i) {
    auto& thread = *threads.emplace_back(std::make_unique<ServerThread>(shared_));
    if (const auto listening = thread.listen(at, i == 0); !listening) return listening.error();
    at.port(thread.port());
  }
  threads_ = std::move(threads);
  return {};
}

Result<void> Server::start() {
  if (threads_.empty())
    if (const auto listening = listen(); !listening) return listening;
  running_ = threads_.size();
  for (auto& thread : threads_)
    thread->start([this] {
      std::scoped_lock lock(mutex_);
      --running_;
      changed_.notify_all();
    });
  return {};
}

std::uint16_t Server::port() const { return threads_.empty() ? 0 : threads_.front()->port(); }

void Server::begin_drain() {
  shared_.draining = true;
  for (auto& thread : threads_) thread->begin_drain();
}

void Server::insist() {
  shared_.draining = shared_.insisting = true;
  for (auto& thread : threads_) thread->insist();
}

bool Server::wait(std::chrono::milliseconds limit) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, limit, [this] { return running_ == 0; });
}

std::chrono::milliseconds Server::silent_for() const {
  std::chrono::steady_clock::duration longest{0};
  for (const auto& thread : threads_) longest = std::max(longest, thread->silent_for());
  return std::chrono::duration_cast<std::chrono::milliseconds>(longest);
}

}  // namespace assay
