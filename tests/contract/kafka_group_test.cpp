// Who owns which partition, on a real broker: members that join, leave, die and come back.
#include "storage/log/kafka_group.hpp"

#include <gtest/gtest.h>

#include <condition_variable>
#include <future>

#include "storage/log/kafka_step.hpp"
#include "storage/state/memory_key_value.hpp"
#include "tests/contract/kafka_cluster.hpp"

namespace assay {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using Owned = std::vector<Partition>;

// A worker as far as the group sees it.
class Member {
 public:
  Member(KafkaConfig config, std::string instance_id) {
    config.instance_id = std::move(instance_id);
    auto opened = KafkaWorkerGroup::open(config, {.on_assigned = [this](Owned p) { assigned(std::move(p)); },
                                                  .on_revoked = [this](Owned p, bool lost) { revoked(p, lost); }});
    if (!opened) throw std::runtime_error(opened.error());
    group_ = std::move(*opened);
  }
  ~Member() { group_.reset(); }
  // Waits for it.
  bool owns(std::size_t count, std::chrono::milliseconds limit = 20s) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, limit, [&] { return owned_.size() == count; });
  }
  Owned owned() const {
    std::scoped_lock lock(mutex_);
    return owned_;
  }
  int assignments() const {
    std::scoped_lock lock(mutex_);
    return assignments_;
  }
  int losses() const {
    std::scoped_lock lock(mutex_);
    return losses_;
  }
  KafkaWorkerGroup& group() { return *group_; }

 private:
  void assigned(Owned partitions) {
    std::scoped_lock lock(mutex_);
    owned_ = std::move(partitions);
    ++assignments_;
    changed_.notify_all();
  }
  void revoked(const Owned& partitions, bool lost) {
    std::scoped_lock lock(mutex_);
    for (const auto p : partitions) EXPECT_NE(std::find(owned_.begin(), owned_.end(), p), owned_.end());
    EXPECT_EQ(partitions.size(), owned_.size());
    owned_.clear();
    losses_ += lost;
    changed_.notify_all();
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Owned owned_;
  int assignments_ = 0;
  int losses_ = 0;
  std::unique_ptr<KafkaWorkerGroup> group_;
};

class KafkaGroup : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_WITHOUT_KAFKA();
    config = fresh_topics(*kafka_for_tests());
  }
  static Owned both(const Member& a, const Member& b) {
    auto all = a.owned();
    for (const auto p : b.owned()) all.push_back(p);
    std::sort(all.begin(), all.end());
    return all;
  }
  KafkaConfig config;
};

TEST_F(KafkaGroup, OneMemberOwnsEverything) {
  Member only(config, "");
  ASSERT_TRUE(only.owns(4));
  EXPECT_EQ(only.owned(), (Owned{0, 1, 2, 3}));
  EXPECT_TRUE(only.group().joined());
}

TEST_F(KafkaGroup, AMemberThatJoinsGetsItsShareAndGivesItBackWhenItLeaves) {
  Member first(config, "");
  ASSERT_TRUE(first.owns(4));
  {
    const auto start = Steady::now();
    Member second(config, "");
    ASSERT_TRUE(second.owns(2));
    ASSERT_TRUE(first.owns(2));
    EXPECT_EQ(both(first, second), (Owned{0, 1, 2, 3}));
    EXPECT_LT(Steady::now() - start, 10s);
  }
  const auto start = Steady::now();
  ASSERT_TRUE(first.owns(4));
  EXPECT_LT(Steady::now() - start, 5s) << "it said that it leaves";
  EXPECT_EQ(first.losses(), 0);
}

TEST_F(KafkaGroup, AStaticMemberThatRestartsGetsItsOwnBackAndNobodyElseIsDisturbed) {
  Member first(config, "one");
  ASSERT_TRUE(first.owns(4));
  auto second = std::make_unique<Member>(config, "two");
  ASSERT_TRUE(second->owns(2));
  ASSERT_TRUE(first.owns(2));
  const auto before = second->owned();
  const auto assignments = first.assignments();
  second.reset();
  second = std::make_unique<Member>(config, "two");
  ASSERT_TRUE(second->owns(2));
  EXPECT_EQ(second->owned(), before);
  EXPECT_EQ(first.assignments(), assignments);
}

TEST_F(KafkaGroup, AStaticMemberThatDoesNotComeBackIsReplacedAfterItsSession) {
  Member first(config, "one");
  ASSERT_TRUE(first.owns(4));
  {
    Member second(config, "two");
    ASSERT_TRUE(second.owns(2));
    ASSERT_TRUE(first.owns(2));
  }
  EXPECT_TRUE(first.owns(4, config.session_timeout + 10s));
}

TEST_F(KafkaGroup, ASecondProcessWithTheSameInstanceIdTakesThePartitionsAndTheFirstSaysSo) {
  Member first(config, "one");
  ASSERT_TRUE(first.owns(4));
  Member second(config, "one");
  ASSERT_TRUE(second.owns(4));
  ASSERT_TRUE(first.owns(0));
  EXPECT_TRUE(first.group().failed());
  EXPECT_FALSE(second.group().failed());
}

TEST_F(KafkaGroup, AMemberThatCannotBeginWhatItIsGivenSaysSoAndLeaves) {
  std::promise<std::string> failed;
  auto opened = KafkaWorkerGroup::open(config, {.on_assigned = [](Owned) { throw std::runtime_error("no such file"); },
                                                .on_revoked = [](Owned, bool) {},
                                                .on_failed = [&](std::string why) { failed.set_value(why); }});
  ASSERT_TRUE(opened) << opened.error();
  auto why = failed.get_future();
  ASSERT_EQ(why.wait_for(20s), std::future_status::ready);
  EXPECT_NE(why.get().find("no such file"), std::string::npos);
  EXPECT_TRUE((*opened)->failed());
}

TEST_F(KafkaGroup, NothingCommittedIsZeroAndAStepsPositionIsWhatTheNextOwnerReads) {
  Member member(config, "one");
  ASSERT_TRUE(member.owns(4));
  const auto before = member.group().committed(2, 10s);
  ASSERT_TRUE(before) << before.error().message();
  EXPECT_EQ(*before, 0);
  MemoryKeyValue state;
  auto committer = KafkaStepCommitter::open(
      config, 2, state, [&] { return member.group().metadata(); }, *before);
  ASSERT_TRUE(committer) << committer.error().message();
  for (Offset position = 1; position <= 20; ++position) {
    Step step{.partition = 2, .feedback_position = position};
    step.outputs.push_back({.stream = Stream::assessments, .key = "tr-1", .value = "{}"});
    ASSERT_EQ((*committer)->commit(step), StepOutcome::committed);
    const auto after = member.group().committed(2, 10s);
    ASSERT_TRUE(after) << after.error().message();
    EXPECT_EQ(*after, position);
  }
}

TEST_F(KafkaGroup, AnEarlierGenerationCommitsNoPosition) {
  Member first(config, "");
  ASSERT_TRUE(first.owns(4));
  MemoryKeyValue state;
  // As a worker that has not yet noticed that its partitions are gone: the group's metadata of before.
  auto stale = first.group().metadata();
  auto as_before = [&] {
    char* bytes = nullptr;
    std::size_t size = 0;
    rd_kafka_consumer_group_metadata_t* copy = nullptr;
    KafkaFailure wrote(rd_kafka_consumer_group_metadata_write(stale.get(), reinterpret_cast<void**>(&bytes), &size));
    KafkaFailure read(rd_kafka_consumer_group_metadata_read(&copy, bytes, size));
    rd_kafka_mem_free(nullptr, bytes);
    return KafkaGroupMetadata(copy);
  };
  auto committer = KafkaStepCommitter::open(config, 2, state, as_before, 0);
  ASSERT_TRUE(committer) << committer.error().message();
  Member second(config, "");
  ASSERT_TRUE(second.owns(2));
  ASSERT_TRUE(first.owns(2));
  Step step{.partition = 2, .feedback_position = 9};
  step.state.put(Family::meta, "last", "zombie");
  EXPECT_EQ((*committer)->commit(step), StepOutcome::aborted);
  EXPECT_FALSE((*committer)->fenced());
  const auto committed = first.group().committed(2, 10s);
  ASSERT_TRUE(committed) << committed.error().message();
  EXPECT_EQ(*committed, 0);
  EXPECT_FALSE(*state.get(Family::meta, "last"));
}

TEST_F(KafkaGroup, AnOpenTransactionsPositionIsWaitedFor) {
  Member member(config, "one");
  ASSERT_TRUE(member.owns(4));
  auto conf = transactional_conf(config, 2);
  auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  ASSERT_TRUE(client) << client.error();
  ASSERT_FALSE(KafkaFailure(rd_kafka_init_transactions(client->get(), 20000)));
  ASSERT_FALSE(KafkaFailure(rd_kafka_begin_transaction(client->get())));
  KafkaPartitions offsets(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(offsets.get(), topic_of(config, Stream::feedback).c_str(), 2)->offset = 7;
  const auto metadata = member.group().metadata();
  ASSERT_FALSE(KafkaFailure(rd_kafka_send_offsets_to_transaction(client->get(), offsets.get(), metadata.get(), 20000)));
  const auto unstable = member.group().committed(2, 300ms);
  ASSERT_FALSE(unstable);
  EXPECT_EQ(unstable.error(), make_error_code(Error::log_unavailable));
  // The next owner's committer ends it, as an abort.
  MemoryKeyValue state;
  auto successor = KafkaStepCommitter::open(
      config, 2, state, [&] { return member.group().metadata(); }, 0);
  ASSERT_TRUE(successor) << successor.error().message();
  const auto stable = member.group().committed(2, 10s);
  ASSERT_TRUE(stable) << stable.error().message();
  EXPECT_EQ(*stable, 0);
}

}  // namespace
}  // namespace assay
