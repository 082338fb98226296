#pragma once
// Where `assay forget` looks, and how it takes away: a data directory, or the topics of a deployment on Kafka.
#include <memory>
#include <string>
#include <vector>

#include "ops/cli/kafka_options.hpp"
#include "ops/cli/problem.hpp"
#include "ops/cli/said_by.hpp"

namespace assay::cli {

class Forgetting {
 public:
  virtual ~Forgetting() = default;
  // Everything of the user's that is there now. `ids` are known before, of what may be gone already, and are added to.
  // Errors are sentences.
  virtual Result<SaidBy, Problem> find(const std::string& user, UsersIds& ids) = 0;
  // Appends these lines' deletions (forget_acts.hpp, dead_letter_acts.hpp), in order. A sentence where one failed.
  virtual std::string act(const std::vector<std::string>& lines) = 0;
  // Until when the log keeps what it holds now, in words.
  virtual std::string log_drops() = 0;
};

// `data` is that of `assay serve`, which may be running. `log_retention` as it has it.
std::unique_ptr<Forgetting> forgetting_in(const std::string& data, std::chrono::milliseconds log_retention);

// The topics, from their beginning to their end; `view`: the data directory of a front door with --view, which still
// has what the topics have dropped; empty: none. Errors are sentences.
Result<std::unique_ptr<Forgetting>, std::string> forgetting_on(const KafkaOptions& kafka, const std::string& view);

}  // namespace assay::cli
