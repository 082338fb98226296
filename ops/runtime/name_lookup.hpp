#pragma once
// Host names to addresses. getaddrinfo can't be stopped, and a resolver that is silent holds it for half a minute and
// more; so it runs on threads that nobody ever waits for, neither whoever asks longer than it likes, nor its
// io_context, nor the process when it ends.
//
// A name is looked up once at a time, for all who ask meanwhile: there are as many threads as names, and those are of
// the settings.
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

// Thread-safe.
class NameLookup {
 public:
  using Endpoints = std::vector<asio::ip::tcp::endpoint>;
  // Blocks as long as it likes; any thread, also after the NameLookup is gone.
  using Blocking = std::function<Result<Endpoints>(const std::string& host, const std::string& port)>;

  explicit NameLookup(Blocking look_up);
  // The system's, for the whole process.
  static NameLookup& system();

  // Error::timed_out at `until`. An address needs no look-up. Cancelling it ends the wait.
  Task<Result<Endpoints>> find(std::string host, std::string port, std::chrono::steady_clock::time_point until);

 private:
  struct Asker;
  struct State;
  std::shared_ptr<State> state_;  // with the threads
};

}  // namespace assay
