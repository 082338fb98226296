// What is told while the loop reads.
#include <functional>
#include <utility>

#include "tests/unit/workers/partition_loop_fixture.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using testing_loop::PartitionLoopTest;

// Of another log's, with what happens between two of its reads.
class SourceInBetween final : public EventSource {
 public:
  SourceInBetween(std::unique_ptr<EventSource> of, std::function<void()>& before_feedback)
      : of_(std::move(of)), before_feedback_(before_feedback) {}
  Result<std::span<const LogRecord>> read(std::size_t most, std::chrono::milliseconds wait) override {
    return of_->read(most, wait);
  }
  Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t most) override {
    if (which.stream == Stream::feedback) std::exchange(before_feedback_, [] {})();
    return of_->read_from(which, most);
  }
  Result<Offset> end(StreamPartition which) override { return of_->end(which); }
  Offset position(StreamPartition which) const override { return of_->position(which); }
  Result<void> seek(StreamPartition which, Offset to) override { return of_->seek(which, to); }
  void wake() override { of_->wake(); }

 private:
  std::unique_ptr<EventSource> of_;
  std::function<void()>& before_feedback_;
};

class SourcesInBetween final : public EventSources {
 public:
  explicit SourcesInBetween(EventSources& of) : of_(of) {}
  Result<std::unique_ptr<EventSource>> open(std::vector<StartAt> starts) override {
    auto opened = of_.open(std::move(starts));
    if (!opened) return opened;
    return std::unique_ptr<EventSource>(std::make_unique<SourceInBetween>(std::move(*opened), before_feedback));
  }
  Partition partitions(Stream stream) const override { return of_.partitions(stream); }
  std::function<void()> before_feedback = [] {};

 private:
  EventSources& of_;
};

// A door answers feedback with the trace that its id names by then.
TEST_F(PartitionLoopTest, WhatWasToldBeforeTheFeedbackIsKnownThoughTheRequestsWereReadBefore) {
  SourcesInBetween sources(log);
  PartitionLoop it(
      {}, sources, state,
      [this] {
        return OpenedPartition{log.committer(state), {}};
      },
      clock, metrics, &progress);
  tell("tr-1", "req-1");
  sources.before_feedback = [this] {
    tell("tr-2", "req-1");
    say("a-1", "req-1");
  };
  drain(it);
  auto source = log.open({{{Stream::assessments, 0}, 0}});
  const auto records = (*source)->read(10, 0ms);
  ASSERT_EQ(records->size(), 1u);
  EXPECT_EQ(records->front().key, "tr-2");
}

}  // namespace
}  // namespace assay
