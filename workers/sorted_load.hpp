#pragma once
// Gathers changes of one family and puts them into the state in sorted runs: see KeyValue::load. Of a key the last
// change counts, in a run and over all runs.
#include <deque>
#include <string>
#include <vector>

#include "storage/state/key_value.hpp"

namespace assay {

class SortedLoad {
 public:
  // A run holds about `bytes_max`.
  SortedLoad(KeyValue& state, Family family, std::size_t bytes_max)
      : state_(state), family_(family), bytes_max_(bytes_max) {}

  // `value` none: erase. Copies.
  void add(std::string_view key, std::optional<std::string_view> value);
  bool full() const { return bytes_ >= bytes_max_; }
  bool empty() const { return entries_.empty(); }
  // Writes the run and begins the next.
  Result<void> flush();
  // Forgets the run.
  void drop();

 private:
  std::string_view keep(std::string_view bytes);

  KeyValue& state_;
  const Family family_;
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::vector<KeyValue::Entry> entries_;
  std::deque<std::string> arena_;  // blocks that never grow past what was reserved, so that views stay
};

}  // namespace assay
