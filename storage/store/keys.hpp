#pragma once
// The keys of the store's families. DO NOT CHANGE: they stand on disk.
//
//   traces          trace_id \0 'd'            the trace was deleted: when, in milliseconds(8); empty: not known
//                   trace_id \0 'i'            its info (trace_row.hpp)
//                   trace_id \0 's' span_id    one span (trace_row.hpp)
//                   trace_id \0 'u' span_id    its parent, and what it says of tokens and costs (trace_usage.hpp);
//                                              none: nothing of it
//                   trace_id \0 'n'            how many spans there are (the same); none: nor are there rows of 'u'
//                   trace_id \0 'f'            its share (aggregates.hpp), also of one that nobody has told of
//   assessments     trace_id \0 assessment_id  a row (assessment_row.hpp)
//   held            trace_id \0 assessment_id  a row that has no create yet
//   assessment_ids  assessment_id              'r' | 'h' | 'd' (row, held, deleted) and the trace_id
//   trace_index     what trace_index.hpp says, then request_time(8) trace_id
//                   'n' assessment_name \0 accepted_at(8) trace_id \0 assessment_id; of a held row: no name, and the
//                   time of its last change
//                   'a' span(1) experiment \0 begin(8) dimension
//                                              of the traces of that experiment that began in that second, minute or
//                                              hour: the sum of their shares, and of the ratings of each dimension
//   dead            record_id                  a dead letter's JSON
//   meta            "store/…"                  positions, ledgers, "store/tombstones", "store/aggregates"
//                                              (aggregates_upkeep.hpp)
//
// Ids and names hold no NUL byte: the store refuses records where they do.
#include <optional>
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"
#include "storage/records/record.hpp"
#include "storage/state/key_value.hpp"

namespace assay::store_keys {

inline std::string in_trace(std::string_view trace_id, std::string_view rest) {
  std::string key;
  key.reserve(trace_id.size() + 1 + rest.size());
  key += trace_id;
  key += '\0';
  key += rest;
  return key;
}
inline std::string trace_prefix(std::string_view trace_id) { return in_trace(trace_id, ""); }
inline std::string trace_tombstone(std::string_view trace_id) { return in_trace(trace_id, "d"); }
inline std::string trace_info(std::string_view trace_id) { return in_trace(trace_id, "i"); }
inline std::string span(std::string_view trace_id, std::string_view span_id) {
  return in_trace(trace_id, "s" + std::string(span_id));
}
inline std::string usage(std::string_view trace_id, std::string_view span_id) {
  return in_trace(trace_id, "u" + std::string(span_id));
}
inline std::string span_tally(std::string_view trace_id) { return in_trace(trace_id, "n"); }
inline std::string share(std::string_view trace_id) { return in_trace(trace_id, "f"); }
inline std::string assessment(std::string_view trace_id, std::string_view assessment_id) {
  return in_trace(trace_id, assessment_id);
}

struct InTrace {
  std::string_view trace_id, rest;
};
// A key of traces, assessments or held.
inline std::optional<InTrace> split(std::string_view key) {
  const auto nul = key.find('\0');
  if (nul == key.npos) return {};
  return InTrace{key.substr(0, nul), key.substr(nul + 1)};
}
// The trace, if it is the key of its info.
inline std::optional<std::string_view> trace_of_info(std::string_view key) {
  const auto in = split(key);
  if (!in || in->rest != "i") return {};
  return in->trace_id;
}

// Where an assessment is: the value in assessment_ids.
struct Located {
  enum class Kind : char { row = 'r', held = 'h', deleted = 'd' } kind = Kind::row;
  std::string trace_id;
};
inline std::string located_value(const Located& located) { return static_cast<char>(located.kind) + located.trace_id; }
inline std::optional<Located> located(std::string_view value) {
  if (value.empty()) return {};
  const auto kind = static_cast<Located::Kind>(value.front());
  if (kind != Located::Kind::row && kind != Located::Kind::held && kind != Located::Kind::deleted) return {};
  return Located{kind, std::string(value.substr(1))};
}

inline std::uint64_t time_bits(Instant at) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, at.time_since_epoch().count()));
}
// Everything of one experiment, client_request_id or name begins with this.
inline std::string index_prefix(char kind, std::string_view name) {
  std::string key(1, kind);
  key += name;
  key += '\0';
  return key;
}
inline std::string index(char kind, std::string_view name, Instant at, std::string_view rest) {
  return index_prefix(kind, name) + big_endian(time_bits(at)) + std::string(rest);
}

struct IndexEntry {
  Instant at;
  std::string_view rest;  // of the assessments' index with the assessment's id behind the trace's
};
// A key of trace_index that begins with this prefix.
inline IndexEntry index_entry(std::string_view key, std::string_view prefix) {
  const auto behind = key.substr(prefix.size());
  return {Instant(std::chrono::milliseconds(static_cast<std::int64_t>(read_big_endian64(behind)))), behind.substr(8)};
}

// Of the sums of shares. Each a multiple of the one before.
struct SumSpan {
  char name;
  std::uint64_t ms;
};
inline constexpr SumSpan sum_spans[] = {{'s', 1'000}, {'m', 60'000}, {'h', 3'600'000}};
inline constexpr std::string_view sums = "a";
inline std::string sums_of_experiment(const SumSpan& span, std::string_view experiment) {
  std::string key(sums);
  key += span.name;
  key += experiment;
  key += '\0';
  return key;
}
// `place`: as in Share.
inline std::string sum_of_place(const SumSpan& span, std::string_view place) {
  const auto experiment = place.substr(0, place.size() - 9);
  const auto time = read_big_endian64(place.substr(place.size() - 8));
  return sums_of_experiment(span, experiment) + big_endian(time - time % span.ms);
}

inline std::string tombstone_value(Instant deleted_at) { return big_endian(time_bits(deleted_at)); }
inline Instant deleted_at(std::string_view tombstone_value) {
  const auto ms = tombstone_value.size() == 8 ? read_big_endian64(tombstone_value) : 0;
  return Instant(std::chrono::milliseconds(static_cast<std::int64_t>(ms)));
}
// Whether an entry of Family::traces is the tombstone of a trace that was deleted before `cutoff`, of which the log can
// bring nothing any more. For a compaction filter: pure.
inline bool tombstone_may_go(std::string_view key, std::string_view value, Instant cutoff) {
  return key.ends_with(std::string_view("\0d", 2)) && value.size() == 8 && deleted_at(value) < cutoff;
}

inline std::string ledger(StreamPartition of) {
  return "store/ledger/" + std::string(name_of(of.stream)) + "/" + std::to_string(of.partition);
}
inline constexpr std::string_view tombstones = "store/tombstones";
inline constexpr std::string_view aggregates = "store/aggregates";

}  // namespace assay::store_keys
