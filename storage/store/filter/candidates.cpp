#include "storage/store/filter/candidates.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "storage/store/keys.hpp"
#include "storage/store/trace_index.hpp"

namespace assay::filter {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t named_max = 2000;  // an assessment's name that has more entries is not rare
constexpr std::size_t block_max = 1024;
const Instant end_of_time{milliseconds(std::int64_t{1} << 50)};

Instant instant(double ms) { return Instant(milliseconds(static_cast<std::int64_t>(std::clamp(ms, 0.0, 1e15)))); }

// The window that the clauses about the time leave; a wider one does no harm.
void narrow(const TraceFilter& filter, Instant& from, Instant& to) {
  from = Instant{};
  to = end_of_time;
  for (const auto& clause : filter) {
    if (clause.kind != "attribute" || clause.key != "timestamp_ms") continue;
    const auto* n = std::get_if<std::int64_t>(&clause.value);
    const auto* d = std::get_if<double>(&clause.value);
    if (!n && !d) continue;
    const double at = n ? static_cast<double>(*n) : *d;
    if (clause.op.starts_with('>') || clause.op == "=") from = std::max(from, instant(std::floor(at)));
    if (clause.op.starts_with('<') || clause.op == "=") to = std::min(to, instant(std::ceil(at)) + milliseconds(1));
  }
}

// Each once: a range each is read.
std::vector<std::string> texts(const Clause& clause) {
  if (const auto* one = std::get_if<std::string>(&clause.value)) return {*one};
  const auto* many = std::get_if<std::vector<std::string>>(&clause.value);
  if (!many) return {};
  auto out = *many;
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

const Clause* find(const TraceFilter& filter, std::string_view kind, std::string_view key) {
  for (const auto& clause : filter)
    if (clause.kind == kind && clause.key == key && (clause.op == "=" || clause.op == "IN")) return &clause;
  return nullptr;
}

// A tag of which there is an index, and its value.
const Clause* find_tag(const TraceFilter& filter) {
  for (const auto& clause : filter) {
    const auto* value = std::get_if<std::string>(&clause.value);
    if (clause.kind == "tag" && clause.op == "=" && value && trace_index::has_tag(clause.key, *value)) return &clause;
  }
  return nullptr;
}

bool asks_for_an_assessment(const Clause& clause) {
  return (clause.kind == "feedback" || clause.kind == "expectation") && clause.op != "IS NULL";
}

// The traces that have an assessment of this name; none: it is not rare.
Result<std::optional<std::set<std::string>>> find_named(const KeyValue& kv, const std::string& name) {
  std::set<std::string> ids;
  std::size_t entries = 0;
  const auto prefix = store_keys::index_prefix('n', name);
  const auto scanned =
      kv.scan(Family::trace_index, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
        const auto rest = key.substr(prefix.size() + 8);
        ids.emplace(rest.substr(0, rest.find('\0')));
        return ++entries <= named_max;
      });
  if (!scanned) return scanned.error();
  if (entries > named_max) return std::optional<std::set<std::string>>();
  return std::optional(std::move(ids));
}

// With the others of their sessions: what was said of a whole session is about these, too.
Result<std::vector<std::string>> with_sessions(const KeyValue& kv, const std::set<std::string>& ids,
                                               const std::vector<std::string>& experiments) {
  const Store store(kv);
  std::set<std::string> whole(ids);
  for (const auto& id : ids) {
    const auto row = store.trace(id);
    if (!row) return row.error();
    const auto session =
        *row ? (*row)->text_at("trace_metadata." + std::string(trace_index::session_key)) : std::nullopt;
    if (!session) continue;
    for (const auto& experiment : experiments) {
      const auto of_session = trace_index::of_session(experiment, *session);
      const auto siblings = kv.scan(Family::trace_index, of_session, after_prefix(of_session),
                                    [&](std::string_view key, std::string_view) {
                                      whole.emplace(key.substr(of_session.size() + 8));
                                      return whole.size() < 10 * named_max;
                                    });
      if (!siblings) return siblings.error();
    }
  }
  return std::vector<std::string>(whole.begin(), whole.end());
}

std::vector<std::string> known_states(const Clause& clause) {
  constexpr std::array<std::string_view, 4> states{"OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"};
  auto out = texts(clause);
  std::erase_if(out, [&](const auto& text) { return std::find(states.begin(), states.end(), text) == states.end(); });
  return out;
}

}  // namespace

Result<Candidates> Candidates::plan(const KeyValue& kv, const TraceFilter& filter,
                                    const std::vector<std::string>& experiments,
                                    const std::optional<Candidate>& after) {
  Candidates out(kv);
  narrow(filter, out.from_, out.to_);
  const auto of_ids = [&](std::string_view index, std::vector<std::string> ids) -> Result<Candidates> {
    out.index_ = index;
    if (const auto fixed = out.fix(std::move(ids), after); !fixed) return fixed.error();
    return std::move(out);
  };
  // A range for each of these, as `prefix_of` says which.
  const auto of_ranges = [&](std::string_view index, const std::vector<std::string>& of, const auto& prefix_of) {
    out.index_ = index;
    for (const auto& one : of) out.ranges_.push_back({prefix_of(one), {}, after});
    return std::move(out);
  };

  if (const auto* clause = find(filter, "attribute", "request_id")) return of_ids("trace_id", texts(*clause));
  if (const auto* clause = find(filter, "attribute", "client_request_id"))
    return of_ranges("client_request_id", texts(*clause), [](const auto& id) { return trace_index::of_request(id); });
  if (const auto* clause = find(filter, "request_metadata", trace_index::session_key)) {
    const auto session = texts(*clause).front();
    return of_ranges("session", experiments,
                     [&](const auto& experiment) { return trace_index::of_session(experiment, session); });
  }
  for (const auto& clause : filter) {
    if (!asks_for_an_assessment(clause)) continue;
    const auto named = find_named(kv, clause.key);
    if (!named) return named.error();
    if (!*named) continue;
    auto ids = with_sessions(kv, **named, experiments);
    if (!ids) return ids.error();
    return of_ids("assessment", std::move(*ids));
  }
  if (const auto* clause = find_tag(filter)) {
    const auto& value = std::get<std::string>(clause->value);
    return of_ranges("tag", experiments,
                     [&](const auto& experiment) { return trace_index::of_tag(experiment, clause->key, value); });
  }
  if (const auto* clause = find(filter, "attribute", "status")) {
    std::vector<std::string> prefixes;
    for (const auto& state : known_states(*clause))
      for (const auto& experiment : experiments) prefixes.push_back(trace_index::of_state(experiment, state));
    return of_ranges("state", prefixes, [](const auto& prefix) { return prefix; });
  }
  return of_ranges("experiment", experiments,
                   [](const auto& experiment) { return trace_index::of_experiment(experiment); });
}

// Ids that are known one by one: they are as few as a filter can name.
Result<void> Candidates::fix(std::vector<std::string> ids, const std::optional<Candidate>& after) {
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  std::vector<std::string> keys;
  for (const auto& id : ids) keys.push_back(store_keys::trace_info(id));
  const auto rows = kv_->multi_get(Family::traces, keys);
  if (!rows) return rows.error();
  Range range{.at_end = true};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!(*rows)[i]) continue;
    const auto row = TraceRow::decode(*(*rows)[i]);
    if (!row) return make_error_code(Error::corrupt);
    Candidate candidate{row->time(), ids[i]};
    if (!after || *after < candidate) range.block.push_back(std::move(candidate));
  }
  std::sort(range.block.begin(), range.block.end());
  ranges_.push_back(std::move(range));
  return {};
}

// Entries of one time stand in the order of their ids, and are read from their end: each group is turned round. A group
// that a block cuts is read again with the next block.
Result<void> Candidates::fill(Range& range, std::size_t count) const {
  auto to = range.prefix + big_endian(store_keys::time_bits(to_));
  if (range.after) to = std::min(to, range.prefix + big_endian(store_keys::time_bits(range.after->time) + 1));
  const auto from = range.prefix + big_endian(store_keys::time_bits(from_));
  std::vector<Candidate> read;
  bool more = false;
  const auto scanned = kv_->scan_back(Family::trace_index, from, to, [&](std::string_view key, std::string_view) {
    const auto time = static_cast<std::int64_t>(read_big_endian64(key.substr(range.prefix.size(), 8)));
    Candidate candidate{Instant(milliseconds(time)), std::string(key.substr(range.prefix.size() + 8))};
    if (range.after && !(*range.after < candidate)) return true;
    if (read.size() >= count && candidate.time != read.back().time) {
      more = true;
      return false;
    }
    read.push_back(std::move(candidate));
    return true;
  });
  if (!scanned) return scanned;
  std::sort(read.begin(), read.end());
  if (!read.empty()) range.after = read.back();
  range.at_end = !more;
  range.block.insert(range.block.end(), std::make_move_iterator(read.begin()), std::make_move_iterator(read.end()));
  return {};
}

Result<std::vector<Candidate>> Candidates::next(std::size_t count) {
  std::vector<Candidate> out;
  while (out.size() < count) {
    Range* best = nullptr;
    for (auto& range : ranges_) {
      if (range.block.empty() && !range.at_end)
        if (const auto filled = fill(range, std::min(count, block_max)); !filled) return filled.error();
      if (!range.block.empty() && (!best || range.block.front() < best->block.front())) best = &range;
    }
    if (!best) break;
    auto candidate = std::move(best->block.front());
    best->block.pop_front();
    // Two ranges may name the same one, also at the end of a step: one that is written anew while they are read.
    if (last_ && !(*last_ < candidate)) continue;
    last_ = candidate;
    out.push_back(std::move(candidate));
  }
  return out;
}

}  // namespace assay::filter
