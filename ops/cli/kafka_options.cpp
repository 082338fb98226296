#include "ops/cli/kafka_options.hpp"

#include <cstdlib>
#include <fstream>

#include "ops/runtime/trimmed.hpp"

namespace assay::cli {
namespace {

constexpr std::chrono::hours wait_max{7 * 24};  // librdkafka counts milliseconds in 31 bits

// Where a secret comes from beside the file.
struct Secret {
  std::string_view property, environment;
};
constexpr Secret secrets[] = {{"sasl.password", "ASSAY_KAFKA_SASL_PASSWORD"},
                              {"ssl.key.password", "ASSAY_KAFKA_SSL_KEY_PASSWORD"},
                              {"ssl.keystore.password", "ASSAY_KAFKA_SSL_KEYSTORE_PASSWORD"}};

bool is_secret(std::string_view property) {
  return property.find("password") != property.npos || property.find("secret") != property.npos ||
         property == "ssl.key.pem" || property == "sasl.oauthbearer.config";
}

// What is wrong with one NAME=VALUE of a flag, in words that hold no value: the flag stands in --check's print, in `ps`
// and in the shell's history.
std::string problem_with_flag(const std::string& property) {
  const auto equals = property.find('=');
  if (equals == property.npos || equals == 0) return "\"" + property.substr(0, equals) + "\" is not NAME=VALUE";
  const auto name = property.substr(0, equals);
  if (!is_secret(name)) return {};
  std::string where = "--kafka-properties FILE";
  for (const auto& secret : secrets)
    if (secret.property == name) where = std::string(secret.environment) + " or " + where;
  return name + " is a secret: give it by " + where;
}

}  // namespace

void KafkaOptions::add_to(CLI::App& app, bool required) {
  app.add_option("--kafka", config.brokers, "The brokers, HOST:PORT,…")->required(required);
  app.add_option("--topic-prefix", config.topic_prefix, "What the names of topics, groups and transactions begin with")
      ->capture_default_str();
  app.add_option("--kafka-property", properties,
                 "NAME=VALUE for librdkafka: security.protocol, sasl.mechanism, ssl.ca.location, …; may be repeated")
      ->check(CLI::Validator(problem_with_flag, "NAME=VALUE"));
  app.add_option("--kafka-properties", properties_file,
                 "A file of such properties, one a line: the place for secrets, which the flag does not take");
  add_duration(app, "--kafka-wait", wait, "For the brokers to answer at the start");
}

std::optional<std::string> KafkaOptions::read_file() {
  const auto unreadable = "--kafka-properties: " + properties_file + " can't be read";
  std::ifstream file(properties_file);
  if (!file) return unreadable;
  constexpr std::string_view blanks = " \t\r";
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const auto text = trimmed(line, blanks);
    if (text.empty() || text.front() == '#') continue;
    const auto equals = text.find('=');
    if (equals == text.npos || equals == 0)
      return "--kafka-properties: line " + std::to_string(number) + " of " + properties_file + " is not NAME=VALUE";
    config.properties[std::string(trimmed(text.substr(0, equals), blanks))] = trimmed(text.substr(equals + 1), blanks);
  }
  if (file.bad()) return unreadable;  // a directory, which can be opened
  return std::nullopt;
}

std::optional<std::string> KafkaOptions::settle_for_tool() {
  config.topics_wait = std::chrono::seconds(2);  // one that has just been made is not known to every broker at once
  return settle();
}

std::optional<std::string> KafkaOptions::settle() {
  if (!properties_file.empty())
    if (auto problem = read_file()) return problem;
  for (const auto& property : properties) {
    const auto equals = property.find('=');
    config.properties[property.substr(0, equals)] = property.substr(equals + 1);
  }
  for (const auto& secret : secrets)
    if (const auto* value = std::getenv(std::string(secret.environment).c_str()); value && *value)
      config.properties[std::string(secret.property)] = value;
  if (wait > wait_max) return "--kafka-wait: more than 7d";
  return problem_with_clients(config);
}

}  // namespace assay::cli
