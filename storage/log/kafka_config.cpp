#include "storage/log/kafka_config.hpp"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <fstream>
#include <set>

#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"

namespace assay {
namespace {

using Properties = std::vector<std::pair<std::string, std::string>>;

// The promises (design: accepted means durable, exactly one) or another field of KafkaConfig rest on these.
const std::set<std::string_view> decided{"acks",
                                         "allow.auto.create.topics",
                                         "auto.commit.enable",
                                         "auto.offset.reset",
                                         "bootstrap.servers",
                                         "delivery.report.only.error",
                                         "delivery.timeout.ms",
                                         "enable.auto.commit",
                                         "enable.auto.offset.store",
                                         "enable.gapless.guarantee",
                                         "enable.idempotence",
                                         "enable.partition.eof",
                                         "group.id",
                                         "group.instance.id",
                                         "heartbeat.interval.ms",
                                         "isolation.level",
                                         "linger.ms",
                                         "max.poll.interval.ms",
                                         "message.timeout.ms",
                                         "metadata.broker.list",
                                         "partition.assignment.strategy",
                                         "partitioner",
                                         "queue.buffering.max.kbytes",
                                         "queue.buffering.max.messages",
                                         "queue.buffering.max.ms",
                                         "request.required.acks",
                                         "session.timeout.ms",
                                         "statistics.interval.ms",
                                         "transaction.timeout.ms",
                                         "transactional.id"};

constexpr std::chrono::milliseconds error_limit{1'000};  // to be told why no broker is reached

// Called on librdkafka's threads. It repeats a lost connection each 30 s by itself.
void log_line(const rd_kafka_t* client, int level, const char* facility, const char* text) {
  const auto severity = level <= 3 ? spdlog::level::warn : level <= 5 ? spdlog::level::info : spdlog::level::debug;
  spdlog::log(severity, "kafka client={} facility={} {}", client ? rd_kafka_name(client) : "", facility, text);
}

// What all clients have in common, what one kind of them has, and last what the user gave, which so wins over all that
// is not decided here (problem_with).
KafkaConfResult conf_of(const KafkaConfig& config, const Properties& kind) {
  if (auto problem = problem_with(config)) return *problem;
  KafkaConf conf(rd_kafka_conf_new());
  rd_kafka_conf_set_log_cb(conf.get(), log_line);
  Properties properties{{"bootstrap.servers", config.brokers},
                        {"client.id", config.client_id},
                        {"socket.nagle.disable", "true"},
                        {"reconnect.backoff.ms", "50"},
                        {"reconnect.backoff.max.ms", "500"},
                        {"log.connection.close", "false"},
                        // A broker would make them with its own defaults: uncompacted, of one partition. Also by a
                        // producer, which may by itself.
                        {"allow.auto.create.topics", "false"},
                        {"topic.metadata.refresh.fast.interval.ms", "100"}};
  properties.insert(properties.end(), kind.begin(), kind.end());
  properties.insert(properties.end(), config.properties.begin(), config.properties.end());
  for (const auto& [name, value] : properties)
    if (auto problem = set_property(conf.get(), name, value)) return *problem;
  return conf;
}

bool is_sasl(std::string protocol) {
  std::ranges::transform(protocol, protocol.begin(), [](unsigned char c) { return std::tolower(c); });
  return protocol.starts_with("sasl_");
}

// Mechanisms that log in by a name and a password. librdkafka says so, too, but only when a client is made.
std::optional<std::string> problem_with_login(const std::map<std::string, std::string>& properties) {
  const auto value = [&](const char* name) {
    const auto at = properties.find(name);
    return at == properties.end() ? std::string() : at->second;
  };
  const auto mechanism = value("sasl.mechanism") + value("sasl.mechanisms");  // two names of one property
  if (!is_sasl(value("security.protocol")) || !(mechanism == "PLAIN" || mechanism.starts_with("SCRAM-"))) return {};
  if (value("sasl.username").empty()) return "sasl.username is not set: --kafka-property sasl.username=NAME";
  if (value("sasl.password").empty())
    return "sasl.password is not set: give it by ASSAY_KAFKA_SASL_PASSWORD or --kafka-properties FILE";
  return {};
}

// "probe" lets librdkafka look for the authorities where systems have them.
bool names_a_file(std::string_view property, std::string_view value) {
  return property.starts_with("ssl.") && property.ends_with(".location") && value != "probe";
}

// Each of HOST:PORT,…: librdkafka takes any number for a port, and a word for none.
std::optional<std::string> problem_with_ports(std::string_view brokers) {
  for (std::string_view rest = brokers; !rest.empty();) {
    const auto broker = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), broker.size() + 1));
    const auto colon = broker.rfind(':');
    const bool bracketed = broker.starts_with('[');
    const bool has_port = colon != broker.npos && (bracketed ? broker[colon - 1] == ']' : broker.find(':') == colon);
    if (!has_port) continue;  // the default one, or an address of IPv6
    const auto port = parse_number<std::uint32_t>(broker.substr(colon + 1));
    if (!port || *port == 0 || *port > 65'535)
      return fmt::format("--kafka: \"{}\" has no port from 1 to 65535 behind its colon", broker);
  }
  return {};
}

std::string text_of(auto number) { return std::to_string(number); }

KafkaConfResult appending_conf(const KafkaConfig& config, Properties kind) {
  kind.insert(kind.end(), {{"enable.idempotence", "true"},
                           {"acks", "all"},
                           {"partitioner", "murmur2_random"},
                           {"compression.codec", config.compression},
                           // Above ours, which count records and bytes exactly.
                           {"queue.buffering.max.messages", text_of(config.outstanding_records_max + 100'000)},
                           {"queue.buffering.max.kbytes", text_of(config.outstanding_bytes_max / 1024 + 65'536)}});
  return conf_of(config, kind);
}

}  // namespace

std::optional<std::string> problem_with(const KafkaConfig& config) {
  if (config.brokers.find_first_not_of(", ") == config.brokers.npos)
    return "--kafka: no brokers are named (HOST:PORT,…)";
  if (auto problem = problem_with_ports(config.brokers)) return problem;
  if (config.topic_prefix.size() > 200) return "--topic-prefix: it is longer than 200 bytes";
  for (const char c : config.topic_prefix)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-')
      return fmt::format("--topic-prefix: '{}' may only hold letters, digits, '.', '_' and '-'", config.topic_prefix);
  for (const auto& [name, value] : config.properties)
    if (decided.contains(name))
      return fmt::format("the Kafka property '{}' is decided by assay and can't be set", name);
  if (auto problem = problem_with_login(config.properties)) return problem;
  if (config.append_timeout <= std::chrono::milliseconds(0)) return "--append-timeout: it must be more than 0s";
  if (config.message_timeout < config.append_timeout)
    return fmt::format("--append-timeout: more than the {} ms after which a record is given up",
                       config.message_timeout.count());
  if (config.heartbeat * 3 > config.session_timeout)
    return fmt::format("--session-timeout: less than three heartbeats, which are {} ms",
                       (config.heartbeat * 3).count());
  return std::nullopt;
}

std::string topic_of(const KafkaConfig& config, Stream stream) {
  return config.topic_prefix + std::string(name_of(stream));
}

std::string group_of(const KafkaConfig& config) { return config.topic_prefix + "resolve"; }

std::string transactional_id_of(const KafkaConfig& config, Partition partition) {
  return group_of(config) + "-" + std::to_string(partition);
}

// Why a broker is not reached (a login that is refused, a certificate that is not trusted, a connection that nobody
// takes) is an event that follows the call that failed, and a client that lives on would gather such events: asked with
// one of its own, which says also what is no news to others, that a connection was closed. Empty: nothing was said.
static std::string last_broker_error(const KafkaConfig& config) {
  auto conf = client_conf(config);
  if (!conf) return {};
  for (const auto& [name, value] : {std::pair("log.connection.close", "true"), std::pair("log_level", "0")})
    if (set_property(conf->get(), name, value)) return {};
  rd_kafka_conf_set_events(conf->get(), RD_KAFKA_EVENT_ERROR);
  const auto client = make_client(RD_KAFKA_PRODUCER, std::move(*conf));
  if (!client) return {};
  const KafkaQueue errors(rd_kafka_queue_get_main(client->get()));
  const auto deadline = std::chrono::steady_clock::now() + error_limit;
  std::string last;
  while (std::chrono::steady_clock::now() < deadline) {
    const KafkaEvent event(rd_kafka_queue_poll(errors.get(), 100));
    if (!event) continue;
    const auto code = rd_kafka_event_error(event.get());
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) continue;  // that much is known
    std::string text = rd_kafka_event_error_string(event.get());
    text.resize(
        std::min(text.size(), text.rfind(" (after ")));  // how long it took: who repeats a sentence says it once
    if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION || code == RD_KAFKA_RESP_ERR__SSL) return text;
    if (last.empty()) last = text;  // the first has the most words
  }
  return last;
}

// A listener that speaks another protocol closes the connection. librdkafka says so of some such ends, not of all.
static std::string hint_at_protocol(const KafkaConfig& config, std::string_view error) {
  if (error.find("Disconnected") == error.npos || error.find("security.protocol") != error.npos) return {};
  const auto given = config.properties.find("security.protocol");
  return "; is security.protocol=" + (given == config.properties.end() ? "plaintext" : given->second) +
         " what it speaks there?";
}

std::string no_broker_answered(const KafkaConfig& config, std::chrono::milliseconds limit, rd_kafka_resp_err_t code) {
  const auto error = last_broker_error(config);
  auto words = fmt::format("no Kafka broker at {} answered within {} ms: {}", config.brokers, limit.count(),
                           error.empty() ? rd_kafka_err2str(code) : error) +
               hint_at_protocol(config, error);
  // It sends the client's nonce twice, which Kafka accepts up to 3.9 (librdkafka's pull request 4895).
  constexpr int scram_as_specified = 0x020601ff;
  const bool scram = std::ranges::any_of(config.properties, [](const auto& property) {
    return property.first.starts_with("sasl.mechanism") && property.second.starts_with("SCRAM-");
  });
  if (scram && rd_kafka_version() < scram_as_specified)
    words += fmt::format(
        "; SCRAM of librdkafka {} is refused as invalid credentials by Kafka 4.0 and later: 2.6.1 is "
        "needed, or another mechanism over TLS",
        rd_kafka_version_str());
  return words;
}

std::optional<std::string> set_property(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
  char problem[512];
  if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), problem, sizeof problem) == RD_KAFKA_CONF_OK)
    return std::nullopt;
  return std::string(problem);
}

std::size_t record_bytes_max(const KafkaConfig& config) {
  std::size_t bytes = 1'000'000;
  if (const auto given = config.properties.find("message.max.bytes"); given != config.properties.end())
    std::from_chars(given->second.data(), given->second.data() + given->second.size(), bytes);
  return bytes;
}

std::chrono::milliseconds step_timeout(const KafkaConfig& config) {
  return std::max(std::chrono::milliseconds(1000), std::min(config.transaction_timeout, config.session_timeout));
}

KafkaConfResult client_conf(const KafkaConfig& config) { return conf_of(config, {}); }

KafkaConfResult producer_conf(const KafkaConfig& config) {
  return appending_conf(config,
                        {{"linger.ms", fmt::format("{:.3f}", static_cast<double>(config.linger.count()) / 1000)},
                         {"message.timeout.ms", text_of(config.message_timeout.count())},
                         {"statistics.interval.ms", "1000"}});  // says which brokers are up: writable()
}

KafkaConfResult transactional_conf(const KafkaConfig& config, Partition partition) {
  return appending_conf(config, {{"transactional.id", transactional_id_of(config, partition)},
                                 {"transaction.timeout.ms", text_of(step_timeout(config).count())},
                                 {"message.timeout.ms", text_of(step_timeout(config).count())},
                                 {"linger.ms", "0"},  // the step has all its records already
                                 // The broker still ends the transaction before: its default, 100 ms, would be
                                 // a step's whole duration.
                                 {"retry.backoff.ms", "10"}});
}

KafkaConfResult source_conf(const KafkaConfig& config) {
  return conf_of(config, {{"isolation.level", "read_committed"},
                          {"enable.partition.eof", "true"},
                          // A position that is gone is decided on by the source: see kafka_source.hpp.
                          {"auto.offset.reset", "error"},
                          {"fetch.error.backoff.ms", "50"},
                          {"fetch.wait.max.ms", "100"},
                          {"fetch.message.max.bytes", "1048576"},
                          {"queued.min.messages", "10000"},
                          {"queued.max.messages.kbytes", "8192"}});
}

KafkaConfResult group_conf(const KafkaConfig& config) {
  Properties properties{
      {"group.id", group_of(config)},
      {"isolation.level", "read_committed"},  // committed() waits for open transactions
      {"enable.auto.commit", "false"},
      {"enable.auto.offset.store", "false"},
      // librdkafka 2.0.2 loses commits with the cooperative assignor when a member joins.
      {"partition.assignment.strategy", "range"},
      {"session.timeout.ms", text_of(config.session_timeout.count())},
      {"heartbeat.interval.ms", text_of(config.heartbeat.count())},
      {"max.poll.interval.ms", text_of(std::max(config.poll_timeout, config.session_timeout).count())}};
  if (!config.instance_id.empty()) properties.emplace_back("group.instance.id", config.instance_id);
  return conf_of(config, properties);
}

// librdkafka names the property alone: "ssl.ca.location failed: …".
static std::string with_its_file(const KafkaConfig& config, std::string problem) {
  for (const auto& [name, value] : config.properties)
    if (names_a_file(name, value) && problem.starts_with(name)) problem += ": " + value;
  return problem;
}

std::optional<std::string> problem_with_clients(const KafkaConfig& config) {
  for (const auto& [name, value] : config.properties)
    if (names_a_file(name, value) && !std::ifstream(value)) return name + ": " + value + " can't be read";
  std::pair<rd_kafka_type_t, KafkaConfResult> kinds[] = {{RD_KAFKA_PRODUCER, producer_conf(config)},
                                                         {RD_KAFKA_CONSUMER, group_conf(config)}};
  for (auto& [type, conf] : kinds) {
    if (!conf) return conf.error();
    for (const auto& [name, value] : {std::pair("bootstrap.servers", ""), std::pair("log_level", "0")})
      if (auto problem = set_property(conf->get(), name, value)) return problem;
    if (auto client = make_client(type, std::move(*conf)); !client) return with_its_file(config, client.error());
  }
  return std::nullopt;
}

Result<KafkaHandle, std::string> make_client(rd_kafka_type_t type, KafkaConf conf) {
  char problem[512];
  auto* client = rd_kafka_new(type, conf.get(), problem, sizeof problem);
  if (!client) return std::string(problem);
  conf.release();  // the client's
  return KafkaHandle(client);
}

}  // namespace assay
