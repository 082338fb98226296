#include "ops/cli/spool_options.hpp"

#include "ops/cli/topics_claim.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/log/kafka_metadata.hpp"
#include "storage/log/kafka_offsets.hpp"

namespace assay::cli {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds first_look{3'000}, later_look{2'000};
constexpr std::size_t spool_bytes_min = 16u << 20;

std::optional<std::size_t> bytes_of(std::string text) {
  try {
    if (!CLI::AsSizeValue(false)(text).empty()) return {};
  } catch (const CLI::ValidationError&) {  // a unit that it does not know
    return {};
  }
  return parse_number<std::size_t>(text);
}

std::string partitions_key(Stream stream) { return "partitions/" + std::string(name_of(stream)); }

}  // namespace

void SpoolOptions::add_to(CLI::App& app) {
  app.add_option(
         "--spool", text,
         "Bytes on this door's disk for what Kafka can't take now, 16MB at least (of 1024), the last eighth for "
         "feedback alone; or off: then it is 503 while Kafka is away")
      ->capture_default_str();
  add_bytes(app, "--disk-reserve", disk_reserve_bytes, "Free space below which nothing more goes to the spool");
}

std::optional<std::string> SpoolOptions::settle(const KafkaOptions& kafka) {
  if (text == "off") return std::nullopt;
  const auto bytes = bytes_of(text);
  if (!bytes || *bytes < spool_bytes_min) return "--spool: \"" + text + "\" is not off, nor a size of at least 16MB";
  config.emplace();
  config->bytes_max = *bytes;
  config->disk_reserve_bytes = disk_reserve_bytes;
  config->record_bytes_max = record_bytes_max(kafka.config);
  if (config->bytes_max < config->record_bytes_max)
    return "--spool: it has no room for one record of message.max.bytes, " + std::to_string(config->record_bytes_max);
  return std::nullopt;
}

Result<std::unique_ptr<DoorLog>, Problem> DoorLog::open(const SpoolOptions& options, const KafkaOptions& kafka,
                                                        bool for_view, Db& db, const std::string& directory,
                                                        const Clock& clock, Metrics& metrics) {
  std::unique_ptr<DoorLog> self(new DoorLog(kafka, for_view, db, directory, metrics));
  if (const auto problem = claim_topics(db, directory, {}, kafka.config.topic_prefix)) return *problem;
  if (const auto loaded = self->load_partitions(); !loaded) return loaded.error();
  if (!options.config) {
    const auto left = Spool::left(db);
    if (left.has_error()) return "the spool can't be read: " + left.error().message();
    if (*left)
      return Problem("--spool off: the spool in " + directory +
                         " holds records that were accepted: start without it until assay_spool_records is 0",
                     usage);
    if (const auto opened = self->open_kafka(kafka.wait); !opened) return opened.error();
    return self;
  }
  auto spool = Spool::open(db, directory, *options.config, clock, metrics);
  if (!spool) return spool.error();
  self->spool_ = std::move(*spool);
  // A view that has not seen the topics yet can't go on without: how many partitions there are.
  const bool needed = for_view && self->partitions_[static_cast<std::size_t>(Stream::feedback)] == 0;
  const auto limit = needed ? kafka.wait : std::min(first_look, kafka.wait);
  const auto answers = brokers_answer(kafka.config, limit);
  if (!answers) return answers.error();
  EventLog* upstream = nullptr;
  if (*answers) {
    const auto opened = self->open_kafka(kafka.wait);
    if (!opened) return opened.error();
    upstream = *opened;
  } else {
    auto why = no_broker_answered(kafka.config, limit, RD_KAFKA_RESP_ERR__TRANSPORT);
    if (needed) return Problem(why + ": a view needs one when it starts first");
    spdlog::warn("event=kafka_away problem=\"{}\" act=\"what is accepted goes to the spool\"", why);
  }
  self->spooled_ = std::make_unique<SpooledLog>(
      *self->spool_, upstream,
      [raw = self.get()]() -> Result<EventLog*, std::string> {
        const auto opened = raw->open_kafka(later_look);
        if (!opened) return opened.error().text;
        return *opened;
      },
      SpooledLogConfig{.partitions = self->partitions_});
  return self;
}

// The drain first: what it waits for is answered on the home thread.
DoorLog::~DoorLog() {
  if (spooled_) spooled_->stop();
  home_.stop();
}

Result<EventLog*, Problem> DoorLog::open_kafka(std::chrono::milliseconds limit) {
  auto log = KafkaLog::open(home_.io(), options_.config, metrics_, limit);
  if (!log) return log.error();
  if (auto refused = refusal_of(**log)) {
    home_.destroy(std::move(*log));
    return std::move(*refused);
  }
  kafka_ = std::move(*log);
  if (for_view_) noted_ = std::make_unique<AcknowledgedLog>(*kafka_, acknowledged_);
  return &kafka_log();
}

// Why it can't be used. One of other topics than this disk's is, by a door that runs already, to refuse.
std::optional<Problem> DoorLog::refusal_of(KafkaLog& log) {
  const auto cluster = log.cluster_id();
  if (cluster.empty()) return Problem("the brokers do not say which cluster they are");
  if (auto problem = problem_with(log, cluster)) {
    if (!spooled_) return problem;
    log.refuse(problem->text);  // nothing is drained, and nothing more is taken
    return {};
  }
  if (const auto kept = keep_partitions(log, cluster); !kept) return kept.error();
  opened_ = true;
  return {};
}

// What stands on this disk must not go elsewhere, nor be read beside what stands elsewhere.
std::optional<Problem> DoorLog::problem_with(const KafkaLog& log, const std::string& cluster) const {
  if (auto problem = problem_with_topics(db_, directory_, cluster, options_.config.topic_prefix)) return problem;
  return problem_with_partitions(options_.config, log.partitions(Stream::feedback), first_look);
}

Result<void, std::string> DoorLog::load_partitions() {
  for (const auto stream : all_streams) {
    const auto found = db_.get(Family::meta, partitions_key(stream));
    if (!found) return "the data can't be read: " + found.error().message();
    if (*found) partitions_[static_cast<std::size_t>(stream)] = static_cast<Partition>(read_big_endian32(**found));
  }
  return {};
}

// What a view has stored is arranged by partitions: another count would read past it.
Result<void, std::string> DoorLog::keep_partitions(const EventLog& log, const std::string& cluster) {
  Changes changes;
  for (const auto stream : all_streams) {
    const auto now = log.partitions(stream), before = partitions_[static_cast<std::size_t>(stream)];
    if (for_view_ && before != 0 && before != now)
      return topic_of(options_.config, stream) + " has " + std::to_string(now) + " partitions, and had " +
             std::to_string(before) + " when this data directory was made: start with an empty one";
    changes.put(Family::meta, partitions_key(stream), big_endian(static_cast<std::uint32_t>(now)));
  }
  auto written = db_.write(changes);
  if (written) written = keep_topics(db_, cluster, options_.config.topic_prefix);
  if (!written) return "the data directory can't be written: " + written.error().message();
  return {};
}

void DoorLog::close(std::chrono::milliseconds limit) {
  if (spooled_) spooled_->stop();
  if (kafka_) home_.close(*kafka_, limit);
  home_.stop();
  if (spool_ && !spool_->empty())
    spdlog::warn(
        "event=spool_left records={} bytes={} age_seconds={:.0f} act=\"keep {}: a door that is started on it "
        "gives them to Kafka\"",
        spool_->records(), spool_->bytes(), spool_->age().count(), directory_);
}

}  // namespace assay::cli
