// What KafkaLog makes of brokers that refuse, stall, vanish and come back.
#include "storage/log/kafka_log.hpp"

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <thread>

#include "storage/log/kafka_error.hpp"
#include "storage/records/feedback_record.hpp"
#include "tests/faults/kafka_mock.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

class KafkaLogFaults : public testing::Test {
 protected:
  void open(KafkaConfig config = {}) {
    config.brokers = mock.brokers();
    auto opened = KafkaLog::open(io, config, metrics, 10s);
    if (!opened) throw std::runtime_error(opened.error());  // the test fails here, not at its first use of `log`
    log = std::move(*opened);
  }
  static Record record(std::string key, std::size_t size = 10, Stream stream = Stream::feedback) {
    return {.stream = stream, .key = std::move(key), .value = std::string(size, 'x')};
  }
  // Starts an append; its answer comes to `answers`.
  void start(Record r) {
    ++started;
    asio::co_spawn(io, log->append(std::move(r)), [this](std::exception_ptr failed, Result<Appended> result) {
      EXPECT_FALSE(failed);
      answers.push_back(result);
    });
  }
  // Runs the io_context until `done`; false after ten seconds.
  bool run_until(const std::function<bool()>& done) {
    const auto deadline = Steady::now() + 10s;
    while (!done() && Steady::now() < deadline) {
      io.restart();
      io.run_one_for(20ms);
    }
    return done();
  }
  bool all_answered() {
    return run_until([&] { return answers.size() == started; });
  }
  Result<Appended> append(Record r) {
    start(std::move(r));
    EXPECT_TRUE(all_answered());
    return answers.back();
  }
  std::vector<Result<Appended>> append_all(std::vector<Record> records) {
    std::optional<std::vector<Result<Appended>>> results;
    asio::co_spawn(io, log->append_all(std::move(records)),
                   [&](std::exception_ptr, std::vector<Result<Appended>> r) { results = std::move(r); });
    EXPECT_TRUE(run_until([&] { return results.has_value(); }));
    return results.value_or(std::vector<Result<Appended>>());
  }
  double count(const std::string& result) {
    return metrics.counter("assay_kafka_appends_total", "Appends to Kafka by result", {{"result", result}}).Value();
  }
  double outstanding() {
    return metrics.gauge("assay_kafka_outstanding_bytes", "Bytes handed to librdkafka, not yet reported on").Value();
  }

  MockCluster mock;
  IoContext io{1};
  Metrics metrics;
  std::unique_ptr<KafkaLog> log;
  std::size_t started = 0;
  std::vector<Result<Appended>> answers;
};

TEST_F(KafkaLogFaults, AnAppendIsAnsweredWithItsPlace) {
  open();
  for (Offset i = 0; i < 3; ++i) {
    const auto appended = append(record("k"));
    ASSERT_TRUE(appended) << appended.error().message();
    EXPECT_EQ(appended->partition, partition_of("k", log->partitions(Stream::feedback)));
    EXPECT_EQ(appended->offset, i);
  }
  EXPECT_EQ(count("acknowledged"), 3);
  EXPECT_TRUE(run_until([&] { return outstanding() == 0; }));
}

TEST_F(KafkaLogFaults, WhatABrokerMayYetTakeIsTriedAgainUnseen) {
  open();
  mock.answer_produce({RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT});
  EXPECT_TRUE(append(record("k")));
  EXPECT_EQ(count("failed"), 0);
}

TEST_F(KafkaLogFaults, ARefusalIsUnavailableButTheFaultOfTheRecordKeepsItsCode) {
  open();
  mock.answer_produce({RD_KAFKA_RESP_ERR_INVALID_REQUIRED_ACKS});
  const auto refused = append(record("k"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::log_unavailable));
  const auto large = append(record("k", 2'000'000));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error(), boost::system::errc::message_size);
  EXPECT_TRUE(append(record("k")));
}

TEST_F(KafkaLogFaults, AWaiterLeavesAtItsDeadlineAndTheReportThatComesLaterIsOnlyCounted) {
  open({.append_timeout = 300ms});
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  const auto start = Steady::now();
  const auto late = append(record("k"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error(), make_error_code(Error::timed_out));
  EXPECT_GE(Steady::now() - start, 300ms);
  EXPECT_LT(Steady::now() - start, 5s);
  mock.set_up();
  EXPECT_TRUE(run_until([&] { return count("acknowledged") == 2; })) << "librdkafka still had it";
  EXPECT_EQ(answers.size(), 2u) << "answered once";
  const auto next = append(record("k"));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->offset, 2);
}

TEST_F(KafkaLogFaults, WritableEndsWithTheBrokersAndComesBackByItself) {
  open();
  ASSERT_TRUE(append(record("k")));
  EXPECT_TRUE(log->writable());
  mock.set_down();
  EXPECT_TRUE(run_until([&] { return !log->writable(); }));
  EXPECT_EQ(log->writable().error(), make_error_code(Error::log_unavailable));
  mock.set_up();
  EXPECT_TRUE(run_until([&] { return bool(log->writable()); })) << "nobody appends meanwhile";
}

TEST_F(KafkaLogFaults, WhatComesWhileItIsKnownThatNoBrokerIsThereIsRefusedAtOnce) {
  open();
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  ASSERT_TRUE(run_until([&] { return !log->writable(); }));
  const auto known = Steady::now();
  run_until([&] { return Steady::now() - known > 1100ms; });
  const auto refused = append(record("k"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), make_error_code(Error::log_unavailable)) << "one that has waited is timed_out";
  mock.set_up();
  EXPECT_TRUE(run_until([&] { return bool(log->writable()); }));
  const auto next = append(record("k"));
  ASSERT_TRUE(next);
  EXPECT_EQ(next->offset, 1) << "nothing was written of the one that was refused";
}

TEST_F(KafkaLogFaults, OverItsBoundInBytesItRefusesAtOnceAndTakesAgainWhenReportsCome) {
  open({.outstanding_bytes_max = 10'000});
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  for (int i = 0; i < 20; ++i) start(record("k", 1000));
  EXPECT_TRUE(run_until([&] { return answers.size() > 10; }));
  for (std::size_t i = 1; i < answers.size(); ++i) {
    ASSERT_FALSE(answers[i]);
    EXPECT_EQ(answers[i].error(), make_error_code(Error::over_capacity));
  }
  mock.set_up();
  ASSERT_TRUE(all_answered());
  EXPECT_TRUE(append(record("k", 1000)));
  EXPECT_EQ(count("acknowledged"), 1 + 8 + 1);
  EXPECT_EQ(count("refused"), 12);
}

TEST_F(KafkaLogFaults, OverItsBoundInRecordsToo) {
  open({.outstanding_records_max = 5});
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  for (int i = 0; i < 6; ++i) start(record("k"));
  ASSERT_TRUE(run_until([&] { return answers.size() == 2; }));
  EXPECT_EQ(answers.back().error(), make_error_code(Error::over_capacity));
  mock.set_up();
  EXPECT_TRUE(all_answered());
}

// It never would be taken else, and nothing behind it on a spool.
TEST_F(KafkaLogFaults, WhatFindsNothingOutstandingIsTakenHoweverMuchItIs) {
  open({.outstanding_bytes_max = 10'000, .outstanding_records_max = 2});
  EXPECT_TRUE(append(record("k", 50'000)));
  for (const auto& result : append_all({record("a", 9'000), record("b", 9'000), record("c")})) EXPECT_TRUE(result);
}

TEST_F(KafkaLogFaults, OfSeveralThatHaveNoRoomTogetherNoneIsTaken) {
  open({.outstanding_bytes_max = 10'000});
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  start(record("k", 5'000));
  const auto results = append_all({record("a", 3'000), record("b", 3'000)});
  for (const auto& result : results) EXPECT_EQ(result.error(), make_error_code(Error::over_capacity));
  mock.set_up();
  EXPECT_TRUE(all_answered());
  EXPECT_EQ(count("acknowledged"), 2);
}

TEST_F(KafkaLogFaults, ACancelledWaiterIsAnsweredOnceAndItsRecordMayStillLand) {
  open();
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  asio::cancellation_signal cancel;
  std::vector<Result<Appended>> cancelled;
  asio::co_spawn(io, log->append(record("k")),
                 asio::bind_cancellation_slot(
                     cancel.slot(), [&](std::exception_ptr, Result<Appended> result) { cancelled.push_back(result); }));
  io.restart();
  io.poll();
  cancel.emit(asio::cancellation_type::terminal);
  ASSERT_TRUE(run_until([&] { return cancelled.size() == 1; }));
  EXPECT_EQ(cancelled[0].error(), asio::error::operation_aborted);
  mock.set_up();
  EXPECT_TRUE(run_until([&] { return count("acknowledged") == 2; }));
  EXPECT_EQ(cancelled.size(), 1u);
}

TEST_F(KafkaLogFaults, AfterAFatalErrorANewProducerSendsAgainWhatWasNotAcknowledged) {
  open();
  ASSERT_TRUE(append(record("k")));
  mock.answer_produce({RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER});
  for (int i = 0; i < 50; ++i) start(record("key-" + std::to_string(i)));
  ASSERT_TRUE(all_answered());
  for (const auto& answer : answers) EXPECT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(metrics
                .counter("assay_kafka_producer_replacements_total",
                         "Producers given up: a fatal error, or no acknowledgement while brokers are there")
                .Value(),
            1);
  EXPECT_GE(metrics.counter("assay_kafka_sent_again_total", "Records sent again by a new producer").Value(), 1);
  EXPECT_TRUE(append(record("k")));
  EXPECT_TRUE(run_until([&] { return outstanding() == 0; }));
}

TEST_F(KafkaLogFaults, AProducerThatSendsNothingWhileBrokersAreThereIsReplaced) {
  mock.refuse_producer_ids();
  open({.append_timeout = 300ms});
  const auto stuck = append(record("k"));
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error(), make_error_code(Error::timed_out));
  const auto& replaced =
      metrics.counter("assay_kafka_producer_replacements_total",
                      "Producers given up: a fatal error, or no acknowledgement while brokers are there");
  ASSERT_TRUE(run_until([&] { return replaced.Value() == 1; }));
  mock.give_producer_ids();
  bool taken = false;
  for (int i = 0; i < 20 && !taken; ++i) taken = append(record("k")).has_value();
  EXPECT_TRUE(taken);
}

TEST_F(KafkaLogFaults, AppendAllAnswersEachInOrder) {
  open();
  const auto results = append_all({record("a"), record("b"), record("c")});
  ASSERT_EQ(results.size(), 3u);
  const std::string keys[] = {"a", "b", "c"};
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_TRUE(results[i]);
    EXPECT_EQ(results[i]->partition, partition_of(keys[i], log->partitions(Stream::feedback)));
  }
}

TEST_F(KafkaLogFaults, OfSeveralWithOneThatIsTooLongNoneIsWritten) {
  open();
  const auto refused = append_all({record("a"), record("b", 2'000'000), record("c")});
  ASSERT_EQ(refused.size(), 3u);
  for (const auto& result : refused) EXPECT_EQ(result.error(), boost::system::errc::message_size);
  EXPECT_EQ(append(record("a"))->offset, 0) << "the half of it would stand there";
  for (const auto& result : append_all({record("a", 999'900, Stream::traces), record("b")})) EXPECT_TRUE(result);
}

TEST_F(KafkaLogFaults, ARecordMayBeAsLongAsThePropertyAllows) {
  open({.properties = {{"message.max.bytes", "2000"}}});
  EXPECT_FALSE(append_all({record("a", 1990, Stream::traces), record("b")})[1]);
  EXPECT_TRUE(append_all({record("a", 1900, Stream::traces), record("b")})[1]);
}

TEST_F(KafkaLogFaults, AFeedbackLeavesRoomForWhatIsDecidedOfIt) {
  open();
  const auto refused = append(record("k", feedback_bytes_max(1'000'000)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), boost::system::errc::message_size);
  EXPECT_TRUE(append(record("k", feedback_bytes_max(1'000'000) - 200)));
}

TEST_F(KafkaLogFaults, AppendAllOfNothingIsAnswered) {
  open();
  bool done = false;
  asio::co_spawn(io, log->append_all({}), [&](std::exception_ptr, std::vector<Result<Appended>>) { done = true; });
  EXPECT_TRUE(run_until([&] { return done; }));
}

TEST_F(KafkaLogFaults, AnAppendFromAnotherThreadCompletesThere) {
  open();
  IoContext other{1};
  constexpr int appends = 200;
  int done = 0;
  bool all_there = true;
  std::jthread elsewhere([&] {
    for (int i = 0; i < appends; ++i)
      asio::co_spawn(
          other,
          [&, i]() -> Task<void> {
            auto r = record("key-" + std::to_string(i));
            const auto before = std::this_thread::get_id();
            const auto result = co_await log->append(std::move(r));
            all_there = all_there && result && before == std::this_thread::get_id();
          },
          [&](std::exception_ptr) { ++done; });
    other.run();
  });
  std::atomic<bool> finished{false};
  auto guard = asio::make_work_guard(io);
  std::jthread waiter([&] {
    elsewhere.join();
    finished = true;
  });
  EXPECT_TRUE(run_until([&] { return finished.load(); }));
  waiter.join();
  EXPECT_EQ(done, appends);
  EXPECT_TRUE(all_there);
}

TEST_F(KafkaLogFaults, ClosingWaitsForReportsAndRefusesWhatComesAfter) {
  open();
  for (int i = 0; i < 100; ++i) start(record("k"));
  bool closed = false;
  asio::co_spawn(io, log->close(5s), [&](std::exception_ptr) { closed = true; });
  ASSERT_TRUE(run_until([&] { return closed; }));
  ASSERT_TRUE(all_answered());
  for (const auto& answer : answers) EXPECT_TRUE(answer);
  EXPECT_EQ(append(record("k")).error(), make_error_code(Error::stopped));
}

TEST_F(KafkaLogFaults, ClosingWithoutABrokerEndsAtItsLimit) {
  open();
  ASSERT_TRUE(append(record("k")));
  mock.set_down();
  start(record("k"));
  io.restart();
  io.poll();
  bool closed = false;
  asio::co_spawn(io, log->close(200ms), [&](std::exception_ptr) { closed = true; });
  ASSERT_TRUE(run_until([&] { return closed; }));
  ASSERT_TRUE(all_answered());
  EXPECT_EQ(answers.back().error(), make_error_code(Error::log_unavailable));
  const auto start = Steady::now();
  log.reset();
  EXPECT_LT(Steady::now() - start, 5s);
}

TEST_F(KafkaLogFaults, OpensOnlyWhereABrokerAnswers) {
  mock.set_down();
  auto opened = KafkaLog::open(io, {.brokers = mock.brokers()}, metrics, 300ms);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find("no Kafka broker at"), std::string::npos) << opened.error();
}

TEST_F(KafkaLogFaults, OpensOnlyWhereTheTopicsAgreeInTheirPartitions) {
  mock.make_topic("assay.requests", 3);
  auto opened = KafkaLog::open(io, {.brokers = mock.brokers()}, metrics, 5s);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find("assay.requests 3"), std::string::npos) << opened.error();
}

TEST_F(KafkaLogFaults, OpensOnlyWithPropertiesThatKeepThePromises) {
  KafkaConfig config{.brokers = mock.brokers(), .properties = {{"acks", "1"}}};
  auto weaker = KafkaLog::open(io, config, metrics, 5s);
  ASSERT_FALSE(weaker);
  EXPECT_NE(weaker.error().find("'acks' is decided by assay"), std::string::npos) << weaker.error();
  config.properties = {{"no.such.property", "1"}};
  auto unknown = KafkaLog::open(io, config, metrics, 5s);
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().find("no.such.property"), std::string::npos) << unknown.error();
}

}  // namespace
TEST(KafkaConfig, APropertyThatIsGivenWinsOverADefault) {
  const KafkaConfig config{.brokers = "127.0.0.1:9092", .properties = {{"fetch.wait.max.ms", "7"}}};
  const auto conf = source_conf(config);
  ASSERT_TRUE(conf);
  char value[64];
  auto size = sizeof value;
  ASSERT_EQ(rd_kafka_conf_get(conf->get(), "fetch.wait.max.ms", value, &size), RD_KAFKA_CONF_OK);
  EXPECT_STREQ(value, "7");
}

}  // namespace assay
