#pragma once
// How a tool asks a running `assay serve` to write: a socket in the data directory, mode 0600, so that who may open the
// data may use it. One line asked, one line answered:
//
//   replay RECORD_ID   ->  ok | error SENTENCE
//   purge RECORD_ID    ->  ok | error SENTENCE
//   replay-these IDS   ->  the same of many, all or none; so purge-these: see dead_letter_acts.hpp
//   forget-…           ->  the same: see forget_acts.hpp
//   backup DIRECTORY   ->  the same: see backup_acts.hpp
//   ping               ->  ok
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "ops/runtime/result.hpp"

namespace assay::cli {

inline constexpr std::size_t control_line_bytes_max = 4096;

// Answers until it is destroyed. `answer` runs on its thread, one line at a time; it returns the line of the answer.
class ControlServer {
 public:
  // Fails with a sentence when the socket can't be made.
  static Result<std::unique_ptr<ControlServer>, std::string> open(
      const std::string& data_directory, std::function<std::string(const std::string& line)> answer);
  ~ControlServer();

 private:
  struct Impl;
  explicit ControlServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// The line that the process which owns the directory answered; `reached` false: a sentence, nobody there or no answer
// in time.
struct OwnerAnswer {
  bool reached;
  std::string line;
};
OwnerAnswer ask_owner(const std::string& data_directory, const std::string& line, std::chrono::seconds limit);

}  // namespace assay::cli
