// Threads that hang inside a step: /livez must hear of it.
#include <gtest/gtest.h>

#include <latch>

#include "storage/log/memory_log.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/support/wait_until.hpp"
#include "workers/chat_closer.hpp"
#include "workers/committer.hpp"
#include "workers/feeder.hpp"
#include "workers/resolver_thread.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

// A call that does not come back before it may.
class Hang {
 public:
  void operator()() {
    if (!begun_.try_wait()) begun_.count_down();
    may_go_.wait();
  }
  // Lets it go at the end of the scope: before what the call is made for goes.
  auto wait_for_it() {
    begun_.wait();
    struct LetGo {
      ~LetGo() { may_go.count_down(); }
      std::latch& may_go;
    };
    return LetGo{may_go_};
  }

 private:
  std::latch begun_{1}, may_go_{1};
};

class HungSources final : public EventSources {
 public:
  explicit HungSources(Hang& hang) : hang_(hang) {}
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt>) override {
    hang_();
    return make_error_code(Error::log_unavailable);
  }
  Partition partitions(Stream) const override { return 1; }

 private:
  Hang& hang_;
};

// Its apply() hangs; what it has applied may grow meanwhile.
class HungSink final : public AssessmentSink {
 public:
  explicit HungSink(Hang& hang) : hang_(hang) {}
  std::string_view name() const override { return "hung"; }
  std::vector<Stream> follows() const override { return {Stream::assessments}; }
  Result<Offset> position(StreamPartition) override { return 0; }
  Result<void> apply(std::span<const LogRecord>) override {
    hang_();
    return make_error_code(Error::sink_unavailable);
  }
  Offset applied(StreamPartition) const override { return grows ? ++applied_ : applied_.load(); }
  SinkLedger ledger() const override { return {}; }
  std::atomic<bool> grows{false};

 private:
  Hang& hang_;
  mutable std::atomic<Offset> applied_{0};
};

struct StuckTest : testing::Test {
  MemoryLog log;
  MemoryKeyValue state;
  SystemClock clock;
  Metrics metrics;
};

TEST_F(StuckTest, ACommitterWhoseLogDoesNotOpen) {
  Hang hang;
  HungSources sources(hang);
  HungSink sink(hang);
  Committer committer(sources, sink, metrics, {.stuck_after = 1ms});
  EXPECT_FALSE(committer.stuck());
  committer.start();
  const auto let_go = hang.wait_for_it();
  wait_until([&] { return committer.stuck(); });
}

TEST_F(StuckTest, ACommitterWhoseSinkHangsButNotWhileThatGetsOn) {
  Hang hang;
  HungSink sink(hang);
  sink.grows = true;
  Committer committer(log, sink, metrics, {.stuck_after = 1ms});
  committer.start();
  const auto let_go = hang.wait_for_it();
  for (const auto until = std::chrono::steady_clock::now() + 10ms; std::chrono::steady_clock::now() < until;)
    EXPECT_FALSE(committer.stuck());
  sink.grows = false;
  wait_until([&] { return committer.stuck(); });
}

TEST_F(StuckTest, AResolver) {
  Hang hang;
  HungSources sources(hang);
  const auto open = [&] { return OpenedPartition{log.committer(state), {}}; };
  ResolverThread thread({.opening_stuck_after = 1ms}, sources, state, open, clock, metrics, nullptr);
  const auto let_go = hang.wait_for_it();
  wait_until([&] { return thread.stuck(); });
}

TEST_F(StuckTest, AResolversStopWaitsForWhatItHasInHand) {
  std::atomic<bool> begun{false}, done{false};
  const auto open = [&] {
    begun = true;
    std::this_thread::sleep_for(100ms);
    done = true;
    return OpenedPartition{log.committer(state), {}};
  };
  ResolverThread thread({}, log, state, open, clock, metrics, nullptr);
  wait_until([&] { return begun.load(); });
  thread.stop();
  EXPECT_TRUE(done);
}

TEST_F(StuckTest, AChatCloser) {
  Hang hang;
  HungSources sources(hang);
  ChatPositions positions{.load = [](StreamPartition) { return Offset(0); },
                          .save = [](auto) { return Result<void>(); }};
  ChatCloser closer(
      {.partitions = {0}, .stuck_after = 1ms}, sources, positions, [](Record) { return Result<void>(); }, clock,
      metrics);
  closer.start();
  const auto let_go = hang.wait_for_it();
  wait_until([&] { return closer.stuck(); });
}

TEST_F(StuckTest, AFeeder) {
  Hang hang;
  FeederIndex index{.states = [&](const FeederIndex::Visit&) { hang(); }};
  Feeder feeder({.stuck_after = 1ms}, log, state, clock, metrics, index);
  feeder.start();
  const auto let_go = hang.wait_for_it();
  wait_until([&] { return feeder.stuck(); });
}

}  // namespace
}  // namespace assay
