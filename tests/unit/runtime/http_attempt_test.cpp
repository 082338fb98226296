#include "ops/runtime/http_attempt.hpp"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>

namespace assay {
namespace {

const HttpRequest get{.method = "GET"}, post{.method = "POST"}, repeatable_post{.method = "POST", .repeatable = true};
const HttpAttempt closed{.reused = true, .written = 100, .ec = asio::error::eof};

TEST(HttpAttempt, OnAnIdleConnectionThatItsServerClosedARepeatableRequestMayBeSentAgain) {
  EXPECT_TRUE(may_send_again(closed, get));
  EXPECT_TRUE(may_send_again(closed, repeatable_post));
  EXPECT_FALSE(may_send_again(closed, post)) << "the server may have acted";
}

TEST(HttpAttempt, OfWhichNothingWentOutAnyRequestMayBeSentAgain) {
  auto attempt = closed;
  attempt.written = 0;
  attempt.ec = asio::error::broken_pipe;
  EXPECT_TRUE(may_send_again(attempt, post));
}

TEST(HttpAttempt, MayNotBeMadeAgainOnAFreshConnection) {
  auto attempt = closed;
  attempt.reused = false;
  EXPECT_FALSE(may_send_again(attempt, get));
}

TEST(HttpAttempt, MayNotBeMadeAgainOnceSomethingWasHeard) {
  auto attempt = closed;
  attempt.received = 1;
  EXPECT_FALSE(may_send_again(attempt, get));
}

TEST(HttpAttempt, MayNotBeMadeAgainOnceTheSourceWasCalled) {
  auto attempt = closed;
  attempt.pulled = true;
  EXPECT_FALSE(may_send_again(attempt, get));
  attempt.written = 0;
  EXPECT_FALSE(may_send_again(attempt, get));
}

TEST(HttpAttempt, ThatTimedOutMayBeOfAServerAtWork) {
  auto attempt = closed;
  attempt.ec = asio::error::timed_out;
  EXPECT_FALSE(may_send_again(attempt, get));
}

}  // namespace
}  // namespace assay
