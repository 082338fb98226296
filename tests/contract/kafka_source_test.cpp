// What a reader sees of transactions, trimmed and lost logs, on a real broker.
#include "storage/log/kafka_source.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "storage/log/kafka_error.hpp"
#include "storage/log/kafka_producer.hpp"
#include "tests/contract/kafka_cluster.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr StreamPartition where{Stream::feedback, 1};

class KafkaSourceTest : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_KAFKA();
    config = fresh_topics(*kafka_for_tests());
  }

  // A producer of transactions, one a partition.
  KafkaHandle transactional() {
    auto conf = transactional_conf(config, 1);
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    EXPECT_TRUE(client) << client.error();
    EXPECT_FALSE(KafkaFailure(rd_kafka_init_transactions(client->get(), 20000)));
    return std::move(*client);
  }
  void produce(rd_kafka_t* client, int count, const std::string& value = "v") {
    KafkaTopic topic(rd_kafka_topic_new(client, topic_of(config, where.stream).c_str(), nullptr));
    for (int i = 0; i < count; ++i) {
      Record record{
          .stream = where.stream, .key = "k", .value = value + std::to_string(i), .partition = where.partition};
      EXPECT_EQ(produce_record(client, topic.get(), record, RD_KAFKA_MSG_F_COPY, nullptr), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    EXPECT_EQ(rd_kafka_flush(client, 20000), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  static void begin(const KafkaHandle& client) { EXPECT_FALSE(KafkaFailure(rd_kafka_begin_transaction(client.get()))); }
  static void commit(const KafkaHandle& client) {
    EXPECT_FALSE(KafkaFailure(rd_kafka_commit_transaction(client.get(), 20000)));
  }
  static void abort(const KafkaHandle& client) {
    EXPECT_FALSE(KafkaFailure(rd_kafka_abort_transaction(client.get(), 20000)));
  }
  void append(int count, const std::string& value = "v") {
    auto conf = client_conf(config);
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
    ASSERT_TRUE(client) << client.error();
    produce(client->get(), count, value);
  }
  void trim(Offset first) {
    auto client = make_client(RD_KAFKA_PRODUCER, std::move(*client_conf(config)));
    ASSERT_TRUE(client) << client.error();
    KafkaPartitions before(rd_kafka_topic_partition_list_new(1));
    rd_kafka_topic_partition_list_add(before.get(), topic_of(config, where.stream).c_str(), where.partition)->offset =
        first;
    auto* asked = rd_kafka_DeleteRecords_new(before.get());
    KafkaQueue queue(rd_kafka_queue_new(client->get()));
    rd_kafka_DeleteRecords(client->get(), &asked, 1, nullptr, queue.get());
    rd_kafka_DeleteRecords_destroy(asked);
    KafkaEvent event(rd_kafka_queue_poll(queue.get(), 20000));
    ASSERT_TRUE(event);
    ASSERT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
  }
  std::unique_ptr<KafkaSource> open(Offset offset) {
    auto source = KafkaSource::open(config, {{where, offset}}, 20s);
    EXPECT_TRUE(source) << source.error().message();
    return std::move(*source);
  }
  // Until position and end meet.
  static std::vector<std::string> read_all(KafkaSource& source) {
    std::vector<std::string> values;
    for (const auto deadline = Steady::now() + 20s; Steady::now() < deadline;) {
      const auto records = source.read(1000, 100ms);
      EXPECT_TRUE(records) << records.error().message();
      for (const auto& record : *records) values.emplace_back(record.value);
      if (records->empty() && source.position(where) == *source.end(where)) return values;
    }
    ADD_FAILURE() << "position " << source.position(where) << " never met end " << *source.end(where);
    return values;
  }

  KafkaConfig config;
};

using Values = std::vector<std::string>;

TEST_F(KafkaSourceTest, AnEmptyPartitionIsAtItsEnd) {
  auto source = open(0);
  EXPECT_EQ(*source->end(where), 0);
  EXPECT_EQ(read_all(*source), Values{});
  EXPECT_EQ(source->position(where), 0);
}

TEST_F(KafkaSourceTest, AbortedRecordsAreInvisibleAndTheEndBehindThemIsReached) {
  const auto client = transactional();
  begin(client);
  produce(client.get(), 1, "seen");
  commit(client);
  begin(client);
  produce(client.get(), 3, "never");
  abort(client);
  auto source = open(0);
  EXPECT_EQ(read_all(*source), Values{"seen0"});
  EXPECT_EQ(source->position(where), 6) << "four records and two ends of transactions";
}

TEST_F(KafkaSourceTest, AnOpenTransactionIsBehindTheEndUntilItCommits) {
  append(2);
  const auto client = transactional();
  begin(client);
  produce(client.get(), 2, "open");
  auto source = open(0);
  EXPECT_EQ(read_all(*source), (Values{"v0", "v1"}));
  EXPECT_EQ(source->position(where), 2);
  EXPECT_EQ(*source->end(where), 2);
  std::vector<std::string> seen;
  std::jthread committing([&] { commit(client); });
  for (const auto deadline = Steady::now() + 20s; seen.size() < 2 && Steady::now() < deadline;) {
    const auto records = source->read(10, 1s);
    for (const auto& record : *records) seen.emplace_back(record.value);
  }
  EXPECT_EQ(seen, (Values{"open0", "open1"}));
  EXPECT_EQ(read_all(*source), Values{});
  EXPECT_EQ(source->position(where), 5);
}

TEST_F(KafkaSourceTest, WhatIsTrimmedContinuesAtTheFirst) {
  append(10);
  trim(7);
  auto source = open(2);
  EXPECT_EQ(source->position(where), 7);
  EXPECT_EQ(read_all(*source), (Values{"v7", "v8", "v9"}));
  ASSERT_TRUE(source->seek(where, 0));
  EXPECT_EQ(source->position(where), 7);
  EXPECT_EQ(read_all(*source).size(), 3u);
}

TEST_F(KafkaSourceTest, SaysWhatWasDeletedBeforeItWasRead) {
  append(4);
  trim(3);
  auto source = open(1);
  const auto before = source->take_trimmed(where);
  ASSERT_TRUE(before);
  EXPECT_EQ(std::pair(before->from, before->to), std::pair(Offset{1}, Offset{3}));
  EXPECT_EQ(read_all(*source), Values{"v3"});
  EXPECT_FALSE(source->take_trimmed(where));
  ASSERT_TRUE(source->seek(where, 0));
  EXPECT_TRUE(source->take_trimmed(where));
}

TEST_F(KafkaSourceTest, SaysWhatWasDeletedAheadOfItWhileItFollowed) {
  for (int i = 0; i < 10; ++i) append(1, "v" + std::to_string(i) + "-");  // a batch each
  config.properties = {{"queued.min.messages", "1"}, {"fetch.message.max.bytes", "1"}};
  auto source = open(0);
  const auto first = source->read(1, 20s);
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 1u);
  trim(9);
  const auto values = read_all(*source);
  const auto lost = source->take_trimmed(where);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->to, 9);
  EXPECT_EQ(lost->from, std::ssize(values)) << "what stood before them, without the first, and v9";
}

TEST_F(KafkaSourceTest, APositionBehindTheEndIsCorruptNotABeginning) {
  append(3);
  auto lost = KafkaSource::open(config, {{where, 100}}, 500ms);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error(), make_error_code(Error::corrupt));
}

TEST_F(KafkaSourceTest, APartitionThatCantBeReadKeepsNoOtherFromItsRecords) {
  append(3);
  constexpr StreamPartition lost{Stream::feedback, 0};
  auto source = KafkaSource::open(config, {{lost, 0}, {where, 0}}, 20s);
  ASSERT_TRUE(source) << source.error().message();
  EXPECT_FALSE((*source)->seek(lost, 100)) << "behind its end";
  std::vector<std::string> seen;
  for (int i = 0; seen.size() < 3 && i < 20; ++i) {
    const auto records = (*source)->read(1, 1s);
    ASSERT_TRUE(records) << records.error().message();
    for (const auto& record : *records) seen.emplace_back(record.value);
  }
  EXPECT_EQ(seen, (Values{"v0", "v1", "v2"}));
  EXPECT_FALSE((*source)->read_from(lost, 1)) << "who asks for it is told";
}

TEST_F(KafkaSourceTest, SeekingForthAndBackGivesEachRecordOnceFromThere) {
  append(1000);
  auto source = open(0);
  ASSERT_TRUE(source->read(10, 5s));
  ASSERT_TRUE(source->seek(where, 990));
  EXPECT_EQ(read_all(*source).size(), 10u);
  ASSERT_TRUE(source->seek(where, 500));
  const auto rest = read_all(*source);
  ASSERT_EQ(rest.size(), 500u);
  EXPECT_EQ(rest.front(), "v500");
}

TEST_F(KafkaSourceTest, GivesNoMoreThanAskedAndMissesNothing) {
  append(5000);
  auto source = open(0);
  Offset next = 0;
  for (const auto deadline = Steady::now() + 20s; next < 5000 && Steady::now() < deadline;) {
    const auto records = source->read(7, 1s);
    ASSERT_TRUE(records);
    EXPECT_LE(records->size(), 7u);
    for (const auto& record : *records) EXPECT_EQ(record.offset, next++);
  }
  EXPECT_EQ(next, 5000);
}

TEST_F(KafkaSourceTest, ReadsOneAtATimeWithoutWaitingAtEachEndItPasses) {
  auto source = open(0);
  static_cast<void>(read_all(*source));
  const auto client = transactional();
  const auto start = Steady::now();
  int seen = 0;
  for (int i = 0; i < 20; ++i) {
    begin(client);
    produce(client.get(), 1);
    commit(client);
    const auto record = source->read(1, 10s);
    ASSERT_TRUE(record);
    seen += static_cast<int>(record->size());
  }
  EXPECT_EQ(seen, 20);
  EXPECT_LT(Steady::now() - start, 10s);
}

TEST_F(KafkaSourceTest, AWakeThatComesBeforeTheReadEndsIt) {
  auto source = open(0);
  static_cast<void>(read_all(*source));
  source->wake();
  const auto start = Steady::now();
  const auto records = source->read(1, 20s);
  ASSERT_TRUE(records);
  EXPECT_TRUE(records->empty());
  EXPECT_LT(Steady::now() - start, 10s);
}

}  // namespace
}  // namespace assay
