#pragma once
// Ordered keys in families: what worker state, store and positions are kept in. RocksDB in the product (db/db.hpp), a
// map in tests and the simulator (memory_key_value.hpp).
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ops/runtime/error.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// One column family each. On disk by name (name_of): DO NOT RENAME.
enum class Family : std::uint8_t {
  // the embedded log's streams: key partition(4, big-endian) offset(8, big-endian)
  log_feedback,
  log_requests,
  log_traces,
  log_assessments,
  log_deadletters,
  log_catalog,
  // a worker's state: keys begin with the partition(4, big-endian)
  index,   // id -> trace_id, and when it was told
  seen,    // record_id -> first offset, body hash, accepted_at
  parked,  // three key spaces: by record_id, by what they wait for, by expiry
  meta,    // positions, ledgers, formats
  // the store
  traces,
  assessments,
  assessment_ids,
  trace_index,
  dead,
  held,
  journal,
  catalog,
};
inline constexpr Family all_families[] = {
    Family::log_feedback,    Family::log_requests, Family::log_traces, Family::log_assessments,
    Family::log_deadletters, Family::log_catalog,  Family::index,      Family::seen,
    Family::parked,          Family::meta,         Family::traces,     Family::assessments,
    Family::assessment_ids,  Family::trace_index,  Family::dead,       Family::held,
    Family::journal,         Family::catalog};
inline constexpr std::size_t family_count = std::size(all_families);
std::string_view name_of(Family family);

// Writes to be made together. Later ones of the same key win.
class Changes {
 public:
  struct Change {
    Family family;
    std::string key;
    std::optional<std::string> value;  // none: erase
  };
  void put(Family family, std::string key, std::string value) {
    list_.push_back({family, std::move(key), std::move(value)});
  }
  void erase(Family family, std::string key) { list_.push_back({family, std::move(key), std::nullopt}); }
  void append(Changes more) {
    for (auto& change : more.list_) list_.push_back(std::move(change));
  }
  const std::vector<Change>& list() const { return list_; }
  bool empty() const { return list_.empty(); }
  void clear() { list_.clear(); }

 private:
  std::vector<Change> list_;
};

// Thread-safe. Reads see every finished write.
class KeyValue {
 public:
  virtual ~KeyValue() = default;
  virtual Result<std::optional<std::string>> get(Family family, std::string_view key) const = 0;
  // Results in the order of the keys. Keys may repeat.
  virtual Result<std::vector<std::optional<std::string>>> multi_get(Family family,
                                                                    std::span<const std::string> keys) const = 0;
  // Calls found(i, value) for each of the keys that is there, in their order, until it answers an error; for values of
  // any size, of which few are in memory together. The views are valid during the call.
  using Found = std::function<Result<void>(std::size_t i, std::string_view value)>;
  virtual Result<void> each_of(Family family, std::span<const std::string> keys, const Found& found) const;
  // Calls visit(key, value) for from <= key < to in ascending order until it returns false; an empty `to` has no end.
  // The views are valid during the call.
  using Visit = std::function<bool(std::string_view key, std::string_view value)>;
  virtual Result<void> scan(Family family, std::string_view from, std::string_view to, const Visit& visit) const = 0;
  // The same downwards, from the last key before `to` to `from`.
  virtual Result<void> scan_back(Family family, std::string_view from, std::string_view to,
                                 const Visit& visit) const = 0;
  // All of them or none; durable with the next sync of the log (a kill -9 does not undo it).
  virtual Result<void> write(const Changes& changes) = 0;

  struct Entry {
    std::string_view key;
    std::optional<std::string_view> value;  // none: erase
  };
  // Many at once over what is there, ascending, no key twice: for restores, where it is several times faster than
  // write(). All of them or none.
  virtual Result<void> load(Family family, std::span<const Entry> sorted);
};

// Big-endian, so that bytes sort as numbers do; signed numbers must not be negative.
std::string big_endian(std::uint32_t n);
std::string big_endian(std::uint64_t n);
std::uint32_t read_big_endian32(std::string_view bytes);
std::uint64_t read_big_endian64(std::string_view bytes);
// The first key behind every key that begins with `prefix`; empty when there is none.
std::string after_prefix(std::string_view prefix);

}  // namespace assay
