#include "ops/runtime/name_lookup.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstdlib>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

#include "ops/runtime/error.hpp"
#include "ops/runtime/thread.hpp"

namespace assay {
namespace {

using asio::ip::tcp;
using Name = std::pair<std::string, std::string>;  // host and port

Result<NameLookup::Endpoints> ask_system(const std::string& host, const std::string& port) {
  asio::io_context unused;
  tcp::resolver resolver(unused);
  error_code ec;
  const auto found = resolver.resolve(host, port, ec);
  if (ec) return ec;
  NameLookup::Endpoints endpoints;
  for (const auto& entry : found) endpoints.push_back(entry.endpoint());
  return endpoints;
}

}  // namespace

// One task that waits. While it is in the list its io_context is alive: it takes itself out, under the lock, before it
// goes on or is destroyed, and only who is in the list is told.
struct NameLookup::Asker {
  explicit Asker(Executor e) : executor(e), woken(std::make_shared<Timer>(e)) {}
  Executor executor;
  std::shared_ptr<Timer> woken;
  std::optional<Result<Endpoints>> answer;
};

struct NameLookup::State {
  explicit State(Blocking f) : look_up(std::move(f)) {}

  // False: no thread could be had.
  static bool ask(const std::shared_ptr<State>& self, const Name& name, Asker& asker) {
    const std::lock_guard lock(self->mutex);
    auto [at, is_new] = self->askers.try_emplace(name);
    if (is_new && !begin(self, name)) {
      self->askers.erase(at);
      return false;
    }
    at->second.push_back(&asker);
    return true;
  }
  static bool begin(const std::shared_ptr<State>& self, const Name& name) {
    try {
      std::thread([self, name] { self->run(name); }).detach();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }
  void leave(const Name& name, Asker& asker) {
    const std::lock_guard lock(mutex);
    if (const auto at = askers.find(name); at != askers.end()) std::erase(at->second, &asker);
  }
  Result<Endpoints> asked(const Name& name) const {
    try {
      return look_up(name.first, name.second);
    } catch (const std::exception&) {  // out of memory, on a thread of nobody's
      return boost::system::errc::make_error_code(boost::system::errc::not_enough_memory);
    }
  }
  void run(const Name& name) {
    name_this_thread("name-lookup");
    const auto found = asked(name);
    const std::lock_guard lock(mutex);
    for (auto* asker : askers[name]) {
      asker->answer = found;
      std::weak_ptr<Timer> woken = asker->woken;  // the task may be gone before it hears of it
      asio::post(asker->executor, [woken] {
        if (const auto timer = woken.lock()) timer->cancel();
      });
    }
    askers.erase(name);
  }

  const Blocking look_up;
  std::mutex mutex;
  std::map<Name, std::vector<Asker*>> askers;  // of each name that is being looked up
};

NameLookup::NameLookup(Blocking look_up) : state_(std::make_shared<State>(std::move(look_up))) {}

NameLookup& NameLookup::system() {
  static auto& one = *new NameLookup(ask_system);  // never destroyed, as its threads are never waited for
  return one;
}

Task<Result<NameLookup::Endpoints>> NameLookup::find(std::string host, std::string port,
                                                     std::chrono::steady_clock::time_point until) {
  error_code no_address;
  const auto address = asio::ip::make_address(host, no_address);
  if (!no_address) {
    Endpoints one;
    one.emplace_back(address, static_cast<unsigned short>(std::atoi(port.c_str())));
    co_return one;
  }
  struct Asked {
    Asked(std::shared_ptr<State> s, Name n, Executor e) : state(std::move(s)), name(std::move(n)), asker(e) {}
    Asked(const Asked&) = delete;
    ~Asked() { state->leave(name, asker); }
    std::shared_ptr<State> state;
    Name name;
    Asker asker;
  };
  auto executor = co_await asio::this_coro::executor;
  Asked asked(state_, Name(std::move(host), std::move(port)), executor);
  auto& asker = asked.asker;
  asker.woken->expires_at(until);
  if (!State::ask(asked.state, asked.name, asker))
    co_return boost::system::errc::make_error_code(boost::system::errc::resource_unavailable_try_again);
  co_await asker.woken->async_wait(as_result);
  asked.state->leave(asked.name, asker);
  if (!asker.answer) co_return Error::timed_out;
  co_return std::move(*asker.answer);
}

}  // namespace assay
