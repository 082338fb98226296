#include "ops/runtime/name_lookup.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <condition_variable>
#include <mutex>

#include "ops/runtime/error.hpp"
#include "ops/runtime/run_task.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

// A resolver that answers when the test lets it.
struct HeldResolver {
  NameLookup::Blocking look_up() {
    return [this](const std::string&, const std::string&) -> Result<NameLookup::Endpoints> {
      std::unique_lock lock(mutex);
      ++asked;
      changed.notify_all();
      changed.wait(lock, [&] { return open; });
      ++answered;
      changed.notify_all();
      return NameLookup::Endpoints{{asio::ip::address_v4::loopback(), 80}};
    };
  }
  void answer() {
    std::unique_lock lock(mutex);
    open = true;
    changed.notify_all();
    changed.wait(lock, [&] { return answered == asked; });
  }
  void await_asked() {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return asked > 0; });
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool open = false;
  int asked = 0, answered = 0;
};

struct NameLookupTest : testing::Test {
  ~NameLookupTest() override { resolver.answer(); }
  HeldResolver resolver;
  NameLookup lookup{resolver.look_up()};
  int ended = 0;

  Task<void> find(std::chrono::milliseconds limit, error_code expected) {
    co_await asio::this_coro::throw_if_cancelled(false);
    std::string host = "models.example", port = "80";
    const auto found = co_await lookup.find(std::move(host), std::move(port), steady_clock::now() + limit);
    EXPECT_EQ(found ? error_code() : found.error(), expected);
    ++ended;
  }
  void start(IoContext& context, std::chrono::milliseconds limit, error_code expected,
             asio::cancellation_slot slot = {}) {
    auto on_end = [](std::exception_ptr thrown) { EXPECT_FALSE(thrown); };
    asio::co_spawn(context, find(limit, expected), asio::bind_cancellation_slot(slot, on_end));
  }
};

TEST_F(NameLookupTest, AnAddressIsNotLookedUp) {
  IoContext context{1};
  for (const auto* address : {"127.0.0.1", "::1"}) {
    const auto found = run_task(context, lookup.find(address, "8080", steady_clock::now() + 5s));
    ASSERT_TRUE(found && found->size() == 1);
    EXPECT_EQ(found->front().address().to_string(), address);
    EXPECT_EQ(found->front().port(), 8080);
  }
  EXPECT_EQ(resolver.asked, 0);
}

TEST_F(NameLookupTest, NothingWaitsForAResolverThatIsSilentNotEvenTheEndOfTheContext) {
  const auto from = steady_clock::now();
  {
    IoContext context{1};
    start(context, 50ms, Error::timed_out);
    context.run();
    EXPECT_EQ(ended, 1);
    context.restart();
    start(context, 1h, {});
    context.poll();
  }  // with a task that waits
  resolver.await_asked();
  EXPECT_LT(steady_clock::now() - from, 10s);
}

TEST_F(NameLookupTest, CancellingEndsTheWait) {
  IoContext context{1};
  asio::cancellation_signal signal;
  start(context, 1h, Error::timed_out, signal.slot());
  context.poll();
  signal.emit(asio::cancellation_type::terminal);
  context.run();
  EXPECT_EQ(ended, 1);
  resolver.await_asked();
}

TEST_F(NameLookupTest, OneLookUpIsForAllWhoAskMeanwhileOnAnyThread) {
  IoContext here{1}, there{1};
  start(here, 10s, {});
  start(here, 10s, {});
  start(there, 10s, {});
  here.poll();
  there.poll();
  resolver.await_asked();
  resolver.answer();
  here.run();
  there.run();
  EXPECT_EQ(ended, 3);
  EXPECT_EQ(resolver.asked, 1);
}

TEST_F(NameLookupTest, ANameIsLookedUpAnewOnceItWasAnswered) {
  resolver.open = true;
  IoContext context{1};
  for (int i = 0; i < 2; ++i) {
    start(context, 10s, {});
    context.run();
    context.restart();
  }
  EXPECT_EQ(ended, 2);
  EXPECT_EQ(resolver.asked, 2);
}

TEST(NameLookup, ALookUpThatThrowsIsAnError) {
  NameLookup lookup(
      [](const std::string&, const std::string&) -> Result<NameLookup::Endpoints> { throw std::bad_alloc(); });
  IoContext context{1};
  const auto found = run_task(context, lookup.find("models.example", "80", steady_clock::now() + 10s));
  EXPECT_EQ(found.error(), boost::system::errc::not_enough_memory);
}

}  // namespace
}  // namespace assay
