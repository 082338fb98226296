#include "ops/cli/kafka_letters.hpp"

#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/forget_acts.hpp"
#include "storage/log/read_all.hpp"

namespace assay::cli {

Result<std::unique_ptr<KafkaLetters>, std::string> KafkaLetters::open(const KafkaOptions& kafka) {
  std::unique_ptr<KafkaLetters> self(new KafkaLetters(kafka));
  auto sources = KafkaSources::open(kafka.config, kafka.wait);
  if (!sources) return sources.error();
  const auto read = read_all(**sources, Stream::deadletters, [&](std::span<const LogRecord> records) {
    Changes changes;
    for (const auto& record : records)
      if (record.tombstone)
        changes.erase(Family::dead, std::string(record.key));
      else
        changes.put(Family::dead, std::string(record.key), std::string(record.value));
    return self->store_.write(changes);
  });
  if (!read)
    return topic_of(kafka.config, Stream::deadletters) + " can't be read to its end: " + read.error().message();
  return self;
}

KafkaLetters::~KafkaLetters() {
  if (log_) home_.close(*log_, std::chrono::seconds(5));
  home_.stop();
}

OwnerAnswer KafkaLetters::answer(const std::string& line) {
  if (!log_) {
    auto log = KafkaLog::open(home_.io(), kafka_.config, metrics_, kafka_.wait);
    if (!log) return {false, log.error()};
    log_ = std::move(*log);
  }
  if (ForgetActs::knows(line)) return {true, ForgetActs(*log_, io_).answer(line)};
  return {true, DeadLetterActs(store_, *log_, io_).answer(line)};
}

}  // namespace assay::cli
