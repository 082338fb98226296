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

}  // namespace

Result<Candidates> Candidates::plan(const KeyValue& kv, const TraceFilter& filter,
                                    const std::vector<std::string>& experiments,
                                    const std::optional<Candidate>& after) {
  Candidates out(kv);
  narrow(filter, out.from_, out.to_);
  const auto over = [&](std::string_view index, const auto& prefix_of) {
    out.index_ = index;
    for (const auto& experiment : experiments) out.ranges_.push_back({prefix_of(experiment), {}, after});
  };

  if (const auto* clause = find(filter, "attribute", "request_id")) {
    out.index_ = "trace_id";
    if (const auto fixed = out.fix(texts(*clause), after); !fixed) return fixed.error();
    return out;
  }
  if (const auto* clause = find(filter, "attribute", "client_request_id")) {
    out.index_ = "client_request_id";
    for (const auto& id : texts(*clause)) out.ranges_.push_back({trace_index::of_request(id), {}, after});
    return out;
  }
  if (const auto* clause = find(filter, "request_metadata", trace_index::session_key)) {
    const auto session = texts(*clause).front();
    over("session", [&](const std::string& experiment) { return trace_index::of_session(experiment, session); });
    return out;
  }
  for (const auto& clause : filter) {
    if ((clause.kind != "feedback" && clause.kind != "expectation") || clause.op == "IS NULL") continue;
    std::set<std::string> ids;
    std::size_t entries = 0;
    const auto prefix = store_keys::index_prefix('n', clause.key);
    const auto scanned =
        kv.scan(Family::trace_index, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
          const auto rest = key.substr(prefix.size() + 8);
          ids.emplace(rest.substr(0, rest.find('\0')));
          return ++entries <= named_max;
        });
    if (!scanned) return scanned.error();
    if (entries > named_max) continue;
    // What was said of a whole session is about its other traces, too.
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
    out.index_ = "assessment";
    if (const auto fixed = out.fix({whole.begin(), whole.end()}, after); !fixed) return fixed.error();
    return out;
  }
  for (const auto& clause : filter) {
    const auto* value = std::get_if<std::string>(&clause.value);
    if (clause.kind != "tag" || clause.op != "=" || !value || !trace_index::has_tag(clause.key, *value)) continue;
    over("tag", [&](const std::string& experiment) { return trace_index::of_tag(experiment, clause.key, *value); });
    return out;
  }
  if (const auto* clause = find(filter, "attribute", "status")) {
    constexpr std::array<std::string_view, 4> states{"OK", "ERROR", "IN_PROGRESS", "STATE_UNSPECIFIED"};
    out.index_ = "state";
    for (const auto& state : texts(*clause))
      if (std::find(states.begin(), states.end(), state) != states.end())
        over("state", [&](const std::string& experiment) { return trace_index::of_state(experiment, state); });
    return out;
  }
  over("experiment", [](const std::string& experiment) { return trace_index::of_experiment(experiment); });
  return out;
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
