#pragma once
// The traces that this door has made a moment ago: their ids are in the log, but the workers' index may not have them
// yet. Feedback that comes at once is still answered with its trace. A bounded memory: the oldest goes first.
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ops/runtime/clock.hpp"

namespace assay {

// Thread-safe.
class RecentTraces {
 public:
  explicit RecentTraces(std::size_t ids_max = 16 * 1024) : ids_max_(ids_max) {}

  // `client_request_id` may be empty. `at`: when the log was told.
  void add(std::string_view trace_id, std::string_view client_request_id, Instant at);
  // The trace that this id names, if the door has just made it; not what the log was told before `since`.
  std::optional<std::string> find(std::string_view id, Instant since = Instant::min()) const;

 private:
  void put(std::string_view id, std::string_view trace_id, Instant at);

  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Entry {
    std::string trace_id;
    std::uint64_t number;
    Instant at;
  };
  const std::size_t ids_max_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> traces_;
  std::deque<std::pair<std::uint64_t, std::string>> order_;
  std::uint64_t number_ = 0;
};

}  // namespace assay
