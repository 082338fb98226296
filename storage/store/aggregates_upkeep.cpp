#include "storage/store/aggregates_upkeep.hpp"

#include <algorithm>
#include <numeric>
#include <set>

#include "ops/runtime/log.hpp"
#include "ops/runtime/parse_number.hpp"
#include "storage/state/scan_checked.hpp"
#include "storage/store/aggregates.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_index.hpp"

namespace assay {
namespace {

constexpr std::string_view done = "done", clearing = "clearing", until = "until ";

// Of the traces that have rows in this family, at most so many behind this one.
Result<std::set<std::string>> traces_in(const KeyValue& kv, Family family, std::string_view behind, std::size_t most) {
  std::set<std::string> out;
  auto from = behind.empty() ? std::string() : after_prefix(store_keys::trace_prefix(behind));
  while (out.size() < most) {
    std::optional<std::string> next;
    const auto visit = [&next](std::string_view key, std::string_view) -> Result<bool> {
      const auto in = store_keys::split(key);
      if (!in) return corrupt();
      next = std::string(in->trace_id);
      return false;
    };
    if (const auto scanned = scan_checked(kv, family, from, "", visit); !scanned) return scanned.error();
    if (!next) break;
    from = after_prefix(store_keys::trace_prefix(*next));
    out.insert(std::move(*next));
  }
  return out;
}

// The next traces in the order of their ids, told of or not.
Result<std::set<std::string>> next_traces(const KeyValue& kv, std::string_view behind, std::size_t most) {
  auto told = traces_in(kv, Family::traces, behind, most);
  if (!told) return told;
  auto said = traces_in(kv, Family::assessments, behind, most);
  if (!said) return said;
  told->merge(*said);
  while (told->size() > most) told->erase(std::prev(told->end()));
  return told;
}

Result<Share> share_of(const KeyValue& kv, const std::string& trace_id) {
  const Store store(kv);
  const auto row = store.trace(trace_id);
  if (!row) return row.error();
  const auto assessments = store.assessments_of(trace_id);
  if (!assessments) return assessments.error();
  auto place = *row ? trace_index::place_in(trace_index::keys_of(trace_id, **row), trace_id) : std::string();
  return share_of(std::move(place), rows_of(*assessments));
}

}  // namespace

Result<bool> is_summed_up(const KeyValue& kv) {
  const auto noted = kv.get(Family::meta, store_keys::aggregates);
  if (!noted) return no_answer(noted.error());
  return *noted && std::string_view(**noted).substr((*noted)->find(' ') + 1) == done;
}

Result<void> AggregatesUpkeep::load() {
  positions_.clear();
  const auto visit = [this](std::string_view key, std::string_view value) -> Result<bool> {
    const auto next = parse_number<Offset>(value);
    if (!next) return corrupt();
    positions_[std::string(key)] = *next;
    return true;
  };
  if (const auto scanned = scan_checked(kv_, Family::meta, prefix_, after_prefix(prefix_), visit); !scanned)
    return scanned;
  const auto kept = kv_.get(Family::meta, store_keys::aggregates);
  if (!kept) return kept.error();
  phase_ = Phase::clearing;
  until_.clear();
  cleared_.clear();
  loaded_ = true;
  if (!*kept) return {};
  const auto ours = noted();
  const auto sum = std::string_view(ours).substr(0, ours.find(' ') + 1);
  std::string_view state = **kept;
  if (!state.starts_with(sum)) {
    spdlog::info("event=figures_begin_anew why=\"an older version has written in between\"");
    return {};
  }
  state.remove_prefix(sum.size());
  if (state == done) phase_ = Phase::done;
  if (!state.starts_with(until)) return {};
  phase_ = Phase::summing;
  until_ = state.substr(until.size());
  return {};
}

Result<void> AggregatesUpkeep::go_on(std::size_t traces) {
  if (phase_ == Phase::done) return {};
  Changes changes;
  if (phase_ == Phase::clearing)
    if (const auto cleared = clear(changes); !cleared) return cleared;
  if (phase_ == Phase::summing)
    if (const auto summed = sum_up(traces, changes); !summed) return summed;
  write(changes);
  const auto written = kv_.write(changes);
  if (!written) write_failed();
  return written;
}

// What stands there sums up what nobody knows any more.
Result<void> AggregatesUpkeep::clear(Changes& changes) {
  constexpr std::size_t at_once = 10'000;
  std::size_t cleared = 0;
  const auto visit = [&](std::string_view key, std::string_view) {
    cleared_ = key;
    changes.erase(Family::trace_index, cleared_);
    return ++cleared < at_once;
  };
  const auto from = std::max(std::string(store_keys::sums), cleared_);  // not past what is erased, again and again
  const auto scanned = kv_.scan(Family::trace_index, from, after_prefix(store_keys::sums), visit);
  if (!scanned) return scanned;
  if (cleared == 0) phase_ = Phase::summing;  // those of before are gone by now
  return {};
}

Result<void> AggregatesUpkeep::sum_up(std::size_t most, Changes& changes) {
  const auto traces = next_traces(kv_, until_, most);
  if (!traces) return traces.error();
  AggregateBatch batch(kv_);
  for (const auto& id : *traces) {
    auto share = share_of(kv_, id);
    if (!share && share.error() == Error::corrupt) {  // who asks for it is told; the sink goes on
      spdlog::error("event=trace_not_summed_up trace_id=\"{}\" problem=\"{}\"", id, share.error().message());
      continue;
    }
    if (!share) return share.error();
    batch.begin(id) = std::move(*share);
  }
  if (const auto summed = batch.finish(changes); !summed) return summed;
  if (traces->size() < most)
    phase_ = Phase::done;
  else
    until_ = *traces->rbegin();
  return {};
}

void AggregatesUpkeep::write(Changes& changes) const {
  changes.put(Family::meta, std::string(store_keys::aggregates), noted());
}

std::string AggregatesUpkeep::noted() const {
  const auto sum = std::accumulate(positions_.begin(), positions_.end(), Offset(0),
                                   [](Offset sum, const auto& position) { return sum + position.second; });
  const auto state = phase_ == Phase::done       ? std::string(done)
                     : phase_ == Phase::clearing ? std::string(clearing)
                                                 : std::string(until) + until_;
  return std::to_string(sum) + " " + state;
}

}  // namespace assay
