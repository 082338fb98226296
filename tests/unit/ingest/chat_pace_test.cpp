// When a stream writes and looks up.
#include <gtest/gtest.h>

#include "ingest/chat/stream_pace.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;

constexpr StreamPace::Time t0{};

TEST(StreamPace, WritesAtOnceAndThenNotBeforeItsInterval) {
  const ChatConfig config{.token_interval = 10ms};
  StreamPace pace(config, t0);
  EXPECT_EQ(pace.not_before(), t0);
  pace.wrote(t0 + 3ms);
  EXPECT_EQ(pace.not_before(), t0 + 13ms);
}

TEST(StreamPace, LooksUpAtEachPollAndWhenACommentIsDue) {
  const ChatConfig config{.heartbeat_every = 2500ms, .gone_poll = 1s};
  StreamPace pace(config, t0);
  EXPECT_EQ(pace.look_up(t0), t0 + 1s);
  EXPECT_EQ(pace.look_up(t0 + 2s), t0 + 2500ms);
  EXPECT_FALSE(pace.heartbeat_due(t0 + 2499ms));
  EXPECT_TRUE(pace.heartbeat_due(t0 + 2500ms));
  pace.wrote(t0 + 2400ms);
  EXPECT_FALSE(pace.heartbeat_due(t0 + 2500ms)) << "what is written counts as a sign of life";
  EXPECT_EQ(pace.look_up(t0 + 4s), t0 + 4900ms);
}

}  // namespace
}  // namespace assay
