#pragma once
// The io_context that librdkafka's delivery reports arrive on, with its thread.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <thread>

#include "storage/log/kafka_log.hpp"

namespace assay::cli {

class HomeThread {
 public:
  HomeThread() : guard_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~HomeThread() { stop(); }
  IoContext& io() { return io_; }

  // Everything appended is answered, at the latest after `limit`; then the thread ends.
  void close(KafkaLog& log, std::chrono::milliseconds limit) {
    std::promise<void> closed;
    auto close = [&log, limit]() -> Task<void> { co_await log.close(limit); };
    asio::co_spawn(io_, std::move(close), [&closed](std::exception_ptr) { closed.set_value(); });
    closed.get_future().wait();
    stop();
  }
  // A log is destroyed on its home thread, or behind its end.
  void destroy(std::unique_ptr<KafkaLog> log) {
    std::promise<void> gone;
    asio::post(io_, [&] {
      log.reset();
      gone.set_value();
    });
    gone.get_future().wait();
  }
  void stop() {
    guard_.reset();
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

 private:
  IoContext io_{1};
  asio::executor_work_guard<Executor> guard_;
  std::thread thread_;
};

// Declared behind what lives on the thread: ends it first, however the function is left.
class StopHome {
 public:
  explicit StopHome(HomeThread& home) : home_(home) {}
  ~StopHome() { home_.stop(); }

 private:
  HomeThread& home_;
};

}  // namespace assay::cli
