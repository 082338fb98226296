#pragma once
// How this system talks to Kafka. What the promises rest on is decided here and can't be overridden.
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ops/runtime/result.hpp"
#include "storage/log/kafka_handles.hpp"
#include "storage/records/record.hpp"

namespace assay {

struct KafkaConfig {
  std::string brokers;                            // "host:port,host:port"
  std::string topic_prefix = "assay.";            // separates deployments on one cluster; groups and transactions too
  std::map<std::string, std::string> properties;  // passed to librdkafka: security.protocol, sasl.*, ssl.*, …
  std::string client_id = "assay";
  // How long to wait for topics that the brokers do not know yet, capped by the limit for brokers.
  std::chrono::milliseconds topics_wait = std::chrono::hours(1);

  std::chrono::milliseconds topics_every{10'000};  // how often KafkaLog looks at the topics' partitions

  // Appending.
  std::chrono::microseconds linger{1000};            // how long a record may wait for company; 0 below some 2,000/s
  std::string compression = "none";                  // none | gzip | snappy | lz4 | zstd
  std::size_t outstanding_bytes_max = 16 << 20;      // not yet acknowledged; more is over_capacity
  std::size_t outstanding_records_max = 20'000;      // the same, counted
  std::chrono::milliseconds append_timeout{10'000};  // after it an append is answered timed_out
  // After it librdkafka gives a record up. A broker's restart must fit in, or it turns into errors.
  std::chrono::milliseconds message_timeout{30'000};

  // Working.
  std::string instance_id;                           // group.instance.id: a restart keeps its partitions; empty: none
  std::chrono::milliseconds session_timeout{6'000};  // a member not heard of for so long loses its partitions
  // How often a member is heard of, and so how soon it hears of a rebalance: the one who hears last is who all wait
  // for.
  std::chrono::milliseconds heartbeat{50};
  std::chrono::milliseconds poll_timeout{300'000};  // a rebalance's callback may take so long (rebuilding state)
  // A step's; the broker aborts what is left of it after that. At most session_timeout: nobody waits longer for a dead
  // worker's transaction than for the worker.
  std::chrono::milliseconds transaction_timeout{10'000};
};

// In a sentence what is wrong with it, e.g. a property that is decided here.
std::optional<std::string> problem_with(const KafkaConfig& config);

// That no broker has answered, and why: it asks them for that once more, for a second.
std::string no_broker_answered(const KafkaConfig& config, std::chrono::milliseconds limit, rd_kafka_resp_err_t code);

std::string topic_of(const KafkaConfig& config, Stream stream);
std::string group_of(const KafkaConfig& config);                                  // "assay.resolve"
std::string transactional_id_of(const KafkaConfig& config, Partition partition);  // "assay.resolve-3"

std::size_t record_bytes_max(const KafkaConfig& config);  // librdkafka's message.max.bytes

std::chrono::milliseconds step_timeout(const KafkaConfig& config);  // see transaction_timeout

// A librdkafka configuration. Errors are sentences: a property that librdkafka doesn't know, or refuses.
using KafkaConfResult = Result<KafkaConf, std::string>;
KafkaConfResult client_conf(const KafkaConfig& config);    // what all have in common: admin
KafkaConfResult producer_conf(const KafkaConfig& config);  // idempotent, acks=all
KafkaConfResult transactional_conf(const KafkaConfig& config, Partition partition);
KafkaConfResult source_conf(const KafkaConfig& config);  // read-committed, no group
KafkaConfResult group_conf(const KafkaConfig& config);   // membership
// Sets one more property.
std::optional<std::string> set_property(rd_kafka_conf_t* conf, const std::string& name, const std::string& value);
// In a sentence what keeps a client from being made: beside what problem_with() finds, what librdkafka alone knows,
// such as properties that do not go together, or a file that is no certificate. Asks no broker.
std::optional<std::string> problem_with_clients(const KafkaConfig& config);
// Consumes `conf`.
Result<KafkaHandle, std::string> make_client(rd_kafka_type_t type, KafkaConf conf);

}  // namespace assay
