#include "storage/store/aggregates.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "storage/state/scan_checked.hpp"
#include "storage/store/bytes.hpp"
#include "storage/store/feedback_value.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_index.hpp"

namespace assay {
namespace {

constexpr std::uint8_t aggregate_format = 1;
constexpr std::string_view prefix = "user_";

// Of a feedback, changes folded in, as AssessmentRow::json has it.
FeedbackValue value_of(const AssessmentRow& row) {
  const auto changed = row.changes().find("feedback");
  return changed == row.changes().end() ? feedback_value(row.base()->json) : feedback_value(row.json(true));
}

// One row of the sums: numbers that are added each by itself.
using Numbers = std::vector<std::int64_t>;

void add_to(Numbers& to, const Numbers& more, int sign) {
  if (to.size() < more.size()) to.resize(more.size());
  for (std::size_t i = 0; i < more.size(); ++i) to[i] += sign * more[i];
}

bool all_zero(const Numbers& numbers) {
  return std::ranges::all_of(numbers, [](std::int64_t n) { return n == 0; });
}

// DO NOT CHANGE: format(1) and eight bytes each.
std::string encoded(const Numbers& numbers) {
  std::string out;
  ByteWriter bytes(out);
  bytes.u8(aggregate_format);
  for (const auto n : numbers) bytes.u64(static_cast<std::uint64_t>(n));
  return out;
}

std::optional<Numbers> decoded(std::string_view encoded) {
  ByteReader bytes(encoded);
  if (bytes.u8() != aggregate_format) return {};
  Numbers out;
  while (bytes.ok() && !bytes.at_end()) out.push_back(static_cast<std::int64_t>(bytes.u64()));
  if (!bytes.ok()) return {};
  return out;
}

Numbers numbers_of(const Said& said) { return {said.feedbacks, said.positive, said.negative, said.left_out}; }
Numbers numbers_of(const Rating& rating) { return {rating.whole, rating.nanos, rating.count}; }

void add_to(Rating& to, const Rating& more, int sign) {
  to.whole += sign * more.whole;
  to.nanos += sign * more.nanos;
  to.count += sign * more.count;
}

// The row of a sum without a dimension has the traces before what they say.
Result<bool> add_row(Figures& figures, std::string_view dimension, std::string_view value) {
  const auto numbers = decoded(value);
  if (!numbers) return corrupt();
  const auto& n = *numbers;
  if (!dimension.empty()) {
    if (n.size() != 3) return corrupt();
    add_to(figures.said.ratings[std::string(dimension)], {n[0], n[1], n[2]}, 1);
    return true;
  }
  if (n.size() != 6) return corrupt();
  figures.traces += n[0];
  figures.with_feedback += n[1];
  figures.said.add({.feedbacks = n[2], .positive = n[3], .negative = n[4], .left_out = n[5]});
  return true;
}

using Rows = std::map<std::string, Numbers>;

Numbers sum_of(const Share& share) {
  Numbers sum{1, share.said.feedbacks > 0};
  for (const auto n : numbers_of(share.said)) sum.push_back(n);
  return sum;
}

// In each sum that the place is in.
void add_rows(const std::string& place, const Numbers& sum, const Said& said, int sign, Rows& rows) {
  if (place.empty()) return;
  for (const auto& span : store_keys::sum_spans) {
    const auto key = store_keys::sum_of_place(span, place);
    add_to(rows[key], sum, sign);
    for (const auto& [dimension, rating] : said.ratings) add_to(rows[key + dimension], numbers_of(rating), sign);
  }
}

// What makes one share of the other. In one place only what differs is looked at: of many dimensions one or two.
void add_difference(const Share& before, const Share& now, Rows& rows) {
  if (before.place != now.place) {
    add_rows(before.place, sum_of(before), before.said, -1, rows);
    add_rows(now.place, sum_of(now), now.said, 1, rows);
    return;
  }
  auto sum = sum_of(now);
  add_to(sum, sum_of(before), -1);
  auto said = now.said;
  said.add(before.said, -1);
  add_rows(now.place, sum, said, 1, rows);
}

}  // namespace

Rating Rating::of(double value) {
  const auto whole = std::trunc(value);
  return {static_cast<std::int64_t>(whole), std::llround((value - whole) * 1e9), 1};
}

double Rating::average() const {
  const auto sum = static_cast<long double>(whole) * 1e9L + static_cast<long double>(nanos);
  return static_cast<double>(sum / static_cast<long double>(count) / 1e9L);
}

void Said::add(const Said& more, int sign) {
  feedbacks += sign * more.feedbacks;
  positive += sign * more.positive;
  negative += sign * more.negative;
  left_out += sign * more.left_out;
  for (const auto& [dimension, rating] : more.ratings) {
    const auto at = ratings.try_emplace(dimension).first;
    add_to(at->second, rating, sign);
    if (at->second == Rating{}) ratings.erase(at);
  }
}

Said said_in(const AssessmentRow& row) {
  if (!row.base() || row.is_expectation()) return {};
  Said said{.feedbacks = 1};
  const auto name = row.name();
  if (!name.starts_with(prefix)) return said;
  const auto value = value_of(row);
  if (name == "user_feedback") {
    ++(truthy(value) ? said.positive : said.negative);
    return said;
  }
  const auto* number = std::get_if<double>(&value);
  const auto* truth = std::get_if<bool>(&value);
  if ((!number && !truth) || (number && !(std::abs(*number) <= Rating::most))) {
    ++said.left_out;
    return said;
  }
  said.ratings[name == prefix ? name : name.substr(prefix.size())] = Rating::of(number ? *number : (*truth ? 1 : 0));
  return said;
}

// DO NOT CHANGE: format(1) place overrides(1), four numbers, how many ratings, of each its dimension and three numbers.
std::string Share::encode() const {
  std::string out;
  ByteWriter bytes(out);
  const auto write = [&bytes](const Numbers& numbers) {
    for (const auto n : numbers) bytes.u64(static_cast<std::uint64_t>(n));
  };
  bytes.u8(aggregate_format);
  bytes.text(place);
  bytes.u8(overrides);
  write(numbers_of(said));
  bytes.u32(static_cast<std::uint32_t>(said.ratings.size()));
  for (const auto& [dimension, rating] : said.ratings) {
    bytes.text(dimension);
    write(numbers_of(rating));
  }
  return out;
}

std::optional<bool> Share::overrides_in(std::string_view encoded) {
  ByteReader bytes(encoded);
  if (bytes.u8() != aggregate_format) return {};
  bytes.text();
  const bool overrides = bytes.u8() != 0;
  return bytes.ok() ? std::optional(overrides) : std::nullopt;
}

std::optional<Share> Share::decode(std::string_view encoded) {
  ByteReader bytes(encoded);
  if (bytes.u8() != aggregate_format) return {};
  Share out;
  out.place = bytes.text();
  out.overrides = bytes.u8() != 0;
  for (auto* n : {&out.said.feedbacks, &out.said.positive, &out.said.negative, &out.said.left_out})
    *n = static_cast<std::int64_t>(bytes.u64());
  for (auto ratings = bytes.u32(); ratings > 0 && bytes.ok(); --ratings) {
    auto& rating = out.said.ratings[std::string(bytes.text())];
    for (auto* n : {&rating.whole, &rating.nanos, &rating.count}) *n = static_cast<std::int64_t>(bytes.u64());
  }
  if (!bytes.at_end()) return {};
  return out;
}

RowsById rows_of(const std::vector<Store::Assessment>& assessments) {
  RowsById rows;
  for (const auto& assessment : assessments) rows[assessment.id] = &assessment.row;
  return rows;
}

Share share_of(std::string place, const RowsById& rows) {
  Share out{.place = std::move(place)};
  std::set<std::string_view> overridden;
  for (const auto& [id, row] : rows) overridden.insert(row->base()->overrides);
  overridden.erase("");
  out.overrides = !overridden.empty();
  for (const auto& [id, row] : rows)
    if (!overridden.contains(id)) out.said.add(said_in(*row));
  return out;
}

void Figures::add(const Share& share) {
  ++traces;
  with_feedback += share.said.feedbacks > 0;
  said.add(share.said);
}

Result<void> AggregateBatch::load(const std::vector<std::string>& trace_ids) {
  std::vector<std::string> keys;
  keys.reserve(trace_ids.size());
  for (const auto& id : trace_ids) keys.push_back(store_keys::share(id));
  const auto found = kv_.multi_get(Family::traces, keys);
  if (!found) return found.error();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto& entry = shares_[trace_ids[i]];
    const auto& value = (*found)[i];
    if (!value) continue;
    auto share = Share::decode(*value);
    if (!share) return make_error_code(Error::corrupt);
    entry = {*value, *share, std::move(*share)};
  }
  return {};
}

Share& AggregateBatch::begin(const std::string& trace_id) {
  auto& entry = shares_[trace_id];
  entry.kept = "?";  // whatever is there: it is written over, or erased
  return entry.now;
}

Share* AggregateBatch::find(const std::string& trace_id) {
  const auto at = shares_.find(trace_id);
  return at == shares_.end() ? nullptr : &at->second.now;
}

Result<void> AggregateBatch::finish(Changes& out) const {
  Rows rows;
  for (const auto& [trace_id, entry] : shares_) {
    const auto& [kept, before, now] = entry;
    const auto value = now == Share{} ? std::string() : now.encode();
    if (value == kept) continue;
    if (value.empty())
      out.erase(Family::traces, store_keys::share(trace_id));
    else
      out.put(Family::traces, store_keys::share(trace_id), value);
    add_difference(before, now, rows);
  }
  std::erase_if(rows, [](const auto& row) { return all_zero(row.second); });
  std::vector<std::string> keys;
  for (const auto& [key, numbers] : rows) keys.push_back(key);
  const auto found = kv_.multi_get(Family::trace_index, keys);
  if (!found) return found.error();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    auto& sum = rows[keys[i]];
    if (const auto& value = (*found)[i]) {
      const auto kept = decoded(*value);
      if (!kept) return make_error_code(Error::corrupt);
      add_to(sum, *kept, 1);
    }
    if (all_zero(sum))
      out.erase(Family::trace_index, keys[i]);
    else
      out.put(Family::trace_index, keys[i], encoded(sum));
  }
  return {};
}

namespace {

// Reads a window from its left edge on: trace by trace up to the next second, then by longer and longer spans.
class WindowReader {
 public:
  WindowReader(const KeyValue& kv, std::string_view experiment, const std::function<bool()>& go_on)
      : kv_(kv), experiment_(experiment), go_on_(go_on) {}

  Result<Figures> read(Instant from) {
    auto at = store_keys::time_bits(from);
    if (const auto next = round_up(at, store_keys::sum_spans[0].ms); next != at) {
      if (const auto read = read_traces(at, next); !read) return read.error();
      at = next;
    }
    for (std::size_t i = 0; i < std::size(store_keys::sum_spans); ++i) {
      const bool last = i + 1 == std::size(store_keys::sum_spans);
      const auto next = last ? std::optional<std::uint64_t>() : round_up(at, store_keys::sum_spans[i + 1].ms);
      if (const auto read = read_sums(store_keys::sum_spans[i], at, next); !read) return read.error();
      at = next.value_or(at);
    }
    return std::move(figures_);
  }

 private:
  static std::uint64_t round_up(std::uint64_t at, std::uint64_t ms) { return (at + ms - 1) / ms * ms; }

  Result<void> read_traces(std::uint64_t from, std::uint64_t to) {
    constexpr std::size_t at_once = 1024;
    const auto prefix = trace_index::of_experiment(experiment_);
    std::vector<std::string> keys;
    const auto visit = [&](std::string_view key, std::string_view) -> Result<bool> {
      keys.push_back(store_keys::share(store_keys::index_entry(key, prefix).rest));
      if (keys.size() < at_once) return true;
      const auto added = add_shares(keys);
      keys.clear();
      if (!added) return no_answer(added.error());
      return true;
    };
    const auto scanned =
        scan_checked(kv_, Family::trace_index, prefix + big_endian(from), prefix + big_endian(to), visit);
    if (!scanned) return scanned;
    return add_shares(keys);
  }

  Result<void> add_shares(const std::vector<std::string>& keys) {
    if (!go_on_()) return make_error_code(Error::stopped);
    const auto found = kv_.multi_get(Family::traces, keys);
    if (!found) return found.error();
    for (const auto& value : *found) {
      if (!value) continue;  // it has been deleted since
      const auto share = Share::decode(*value);
      if (!share) return make_error_code(Error::corrupt);
      figures_.add(*share);
    }
    return {};
  }

  Result<void> read_sums(const store_keys::SumSpan& span, std::uint64_t from, std::optional<std::uint64_t> to) {
    if (to == from) return {};
    const auto prefix = store_keys::sums_of_experiment(span, experiment_);
    std::size_t rows = 0;
    const auto visit = [&](std::string_view key, std::string_view value) -> Result<bool> {
      if (++rows % 4096 == 0 && !go_on_()) return no_answer(Error::stopped);
      return add_row(figures_, key.substr(prefix.size() + 8), value);
    };
    const auto end = to ? prefix + big_endian(*to) : after_prefix(prefix);
    return scan_checked(kv_, Family::trace_index, prefix + big_endian(from), end, visit);
  }

  const KeyValue& kv_;
  const std::string experiment_;
  const std::function<bool()>& go_on_;
  Figures figures_;
};

}  // namespace

Result<Figures> figures_since(const KeyValue& kv, std::string_view experiment, Instant from,
                              const std::function<bool()>& go_on) {
  return WindowReader(kv, experiment, go_on).read(from);
}

}  // namespace assay
