#include "storage/view/verify.hpp"

#include <algorithm>
#include <set>

#include "ops/runtime/ids.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/records/logged_feedback.hpp"
#include "storage/sinks/poison.hpp"
#include "storage/sinks/positions.hpp"
#include "storage/state/seen.hpp"
#include "storage/state/state_keys.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::size_t examples_max = 20, batch_max = 1024;

std::uint64_t hash_of(std::string_view id) { return content_hash({id}); }

// Ids as sorted hashes: two different ones of the same 64 bits are not to be expected.
class Ids {
 public:
  void add(std::string_view id) { hashes_.push_back(hash_of(id)); }
  void sort() { std::sort(hashes_.begin(), hashes_.end()); }
  std::int64_t count(std::uint64_t hash) const {
    const auto [from, to] = std::equal_range(hashes_.begin(), hashes_.end(), hash);
    return to - from;
  }

 private:
  std::vector<std::uint64_t> hashes_;
};

class Verifier {
 public:
  explicit Verifier(const VerifyInput& input) : in_(input), store_(input.kv) {}

  // Positions first, then what may have become of a record, the log last: whatever moves on meanwhile is found where it
  // was or where it went.
  Result<Verification> run() {
    out_.with_store = in_.store;
    std::map<Partition, Offset> resolved, stored;
    for (Partition p = 0; p < in_.log.partitions(Stream::feedback); ++p) {
      const auto next = in_.resolved(p);
      if (!next) return next.error();
      resolved[p] = *next;
    }
    for (Partition p = 0; p < in_.log.partitions(Stream::assessments); ++p) {
      const auto next = in_.store ? load_position(in_.kv, "store", {Stream::assessments, p}) : Result<Offset>(0);
      if (!next) return next.error();
      stored[p] = *next;
    }
    if (const auto done = read_parked(); !done) return done.error();
    if (const auto done = read_dead(); !done) return done.error();
    for (const auto& [p, next] : stored)
      if (const auto done = read_assessments(p, next); !done) return done.error();
    forwarded_.sort();
    for (const auto& [p, next] : resolved)
      if (const auto done = read_feedback(p, next); !done) return done.error();
    if (in_.store)
      if (const auto done = look_for_rows_twice(); !done) return done.error();
    return std::move(out_);
  }

 private:
  void example(std::string words) {
    if (out_.examples.size() < examples_max) out_.examples.push_back(std::move(words));
  }

  // Every record of one partition that is there now.
  Result<void> each(StreamPartition of, const std::function<Result<void>(std::span<const LogRecord>)>& visit) {
    auto source = in_.log.open({{of, 0}});
    if (!source) return source.error();
    const auto end = (*source)->end(of);
    if (!end) return end.error();
    auto last_read = std::chrono::steady_clock::now();
    while ((*source)->position(of) < *end) {
      const auto records = (*source)->read(batch_max, std::chrono::milliseconds(100));
      if (!records) return records.error();
      if (!records->empty()) {
        if (const auto visited = visit(*records); !visited) return visited;
        last_read = std::chrono::steady_clock::now();
      } else if (std::chrono::steady_clock::now() - last_read > in_.read_limit) {
        // A log that was trimmed up to its end has nothing to read.
        return (*source)->position(of) > 0 ? Result<void>(Error::timed_out) : Result<void>();
      }
    }
    return {};
  }

  Result<void> read_parked() {
    for (Partition p = 0; p < in_.log.partitions(Stream::feedback); ++p) {
      const auto prefix = state::parked_prefix(p);
      const auto scanned =
          (in_.parked ? *in_.parked : in_.kv)
              .scan(Family::parked, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
                parked_.add(key.substr(prefix.size()));
                return true;
              });
      if (!scanned) return scanned;
    }
    parked_.sort();
    return {};
  }

  // What is dead now, and what was until it was replayed or purged.
  Result<void> read_dead() {
    std::set<std::string> ids;
    const auto scanned = in_.kv.scan(Family::dead, "", "", [&](std::string_view key, std::string_view) {
      ids.emplace(key);
      return true;
    });
    if (!scanned) return scanned;
    for (Partition p = 0; p < in_.log.partitions(Stream::deadletters); ++p) {
      const auto read = each({Stream::deadletters, p}, [&](std::span<const LogRecord> records) {
        for (const auto& record : records) ids.emplace(record.key);
        return Result<void>();
      });
      if (!read) return read;
    }
    for (const auto& id : ids) dead_.add(id);
    dead_.sort();
    return {};
  }

  Result<void> read_assessments(Partition partition, Offset stored) {
    const StreamPartition of{Stream::assessments, partition};
    auto& count = out_.assessments[partition];
    return each(of, [&](std::span<const LogRecord> records) -> Result<void> {
      if (records.front().offset > 0 && count.logged == 0) {
        trimmed_ = true;
        if (const auto oldest = read_assessment(records.front())) horizon_ = std::max(horizon_, oldest->accepted_at);
      }
      std::vector<AssessmentRecord> parsed;
      std::vector<Offset> offsets;
      std::vector<std::string> ids;
      for (const auto& record : records) {
        ++count.logged;
        auto assessment = read_assessment(record);
        if (assessment) {
          forwarded_.add(assessment->record_id);
          ids.push_back(assessment->assessment_id);
          parsed.push_back(std::move(*assessment));
          offsets.push_back(record.offset);
        } else if (!in_.store) {
          continue;  // who reads it makes a dead letter of it
        } else if (record.offset >= stored) {
          ++count.in_flight;
        } else if (dead_.count(hash_of(place_id(of, record.offset)))) {
          ++count.dead;
        } else {
          ++count.unaccounted;
          example(place_id(of, record.offset) + " can't be read and is no dead letter: " + assessment.error().reason);
        }
      }
      if (!in_.store) return {};
      const auto where = in_.kv.multi_get(Family::assessment_ids, ids);
      if (!where) return where.error();
      for (std::size_t i = 0; i < parsed.size(); ++i) judge(parsed[i], of, offsets[i], stored, (*where)[i], count);
      return {};
    });
  }

  void judge(const AssessmentRecord& record, StreamPartition of, Offset offset, Offset stored,
             const std::optional<std::string>& where, AssessmentCount& count) {
    using Kind = store_keys::Located::Kind;
    const auto located = where ? store_keys::located(*where) : std::nullopt;
    if (offset >= stored)
      ++count.in_flight;
    else if (dead_.count(hash_of(place_id(of, offset))))
      ++count.dead;  // first: of a change that was not taken the assessment may be there without it
    else if (located && located->kind != Kind::held)
      ++count.stored;
    else if (located && record.op == Op::update)
      ++count.held;
    else {
      ++count.unaccounted;
      example(place_id(of, offset) + ": " + std::string(name_of(record.op)) + " of " + record.assessment_id +
              " is not in the store");
    }
  }

  struct Item {
    std::uint64_t hash;
    Offset offset;
    bool in_flight, in_store;  // in_store: where assay.assessments no longer goes back far enough to tell
    Instant accepted_at = {}, accepted_max = {};  // the latter: the largest of the partition so far
  };

  Result<void> read_feedback(Partition partition, Offset resolved) {
    const StreamPartition of{Stream::feedback, partition};
    auto& count = out_.feedback[partition];
    std::vector<Item> items;
    bool whole = true;  // nothing was trimmed
    Instant accepted_max;
    const auto read = each(of, [&](std::span<const LogRecord> records) -> Result<void> {
      if (records.front().offset > 0 && items.empty()) whole = false;
      for (const auto& record : records) {
        const bool in_flight = record.offset >= resolved;
        // An earlier version forwarded what is no longer taken, and left no letter then.
        auto feedback = parse_logged_feedback(record);
        if (!feedback) feedback = parse_feedback_record(record.value);
        if (!feedback || dead_.count(hash_of(place_id(of, record.offset)))) {  // too long is malformed, too
          items.push_back({hash_of(place_id(of, record.offset)), record.offset, in_flight, false});
          continue;
        }
        accepted_max = std::max(accepted_max, feedback->logged_at());
        std::int64_t order = record.offset * items_per_record_max;
        for (const auto& item : feedback->items) {
          const auto conflict = hash_of(conflict_id(item.record_id, partition, order++));
          if (dead_.count(conflict)) {
            items.push_back({conflict, record.offset, in_flight, false});
            continue;
          }
          bool in_store = false;
          if (trimmed_ && !in_flight && in_.store) {
            const auto located = store_.locate(item.assessment_id);
            if (!located) return located.error();
            in_store = located->has_value();
          }
          items.push_back(
              {hash_of(item.record_id), record.offset, in_flight, in_store, feedback->logged_at(), accepted_max});
        }
      }
      return {};
    });
    if (!read) return read;
    count.logged = std::ssize(items);
    std::sort(items.begin(), items.end(),
              [](const Item& a, const Item& b) { return std::tie(a.hash, a.offset) < std::tie(b.hash, b.offset); });
    for (auto from = items.begin(); from != items.end();) {
      const auto to = std::find_if(from, items.end(), [&](const Item& item) { return item.hash != from->hash; });
      settle({from, to}, of, whole, count);
      from = to;
    }
    return {};
  }

  // How many of these stand outside the dedupe window of the one before: as the resolver decides it.
  std::int64_t forwards_allowed(std::span<const Item> same) const {
    if (!in_.dedupe_window) return std::ssize(same);
    std::int64_t most = 0;
    Seen seen;
    for (const auto& item : same) {
      if (most > 0 && is_repeat(seen, item.offset, item.accepted_max, *in_.dedupe_window)) continue;
      seen = {item.offset, 0, item.accepted_at};
      ++most;
    }
    return most;
  }

  // All items of one record_id, by offset.
  void settle(std::span<const Item> same, StreamPartition of, bool whole, FeedbackCount& count) {
    const auto hash = same.front().hash;
    auto left = std::ssize(same);
    const auto take = [&left](std::int64_t& into, std::int64_t most) {
      const auto n = std::min<std::int64_t>(left, most);
      into += n;
      left -= n;
      return n;
    };
    const auto in_flight = std::count_if(same.begin(), same.end(), [](const Item& item) { return item.in_flight; });
    const auto forwarded = forwarded_.count(hash);
    if (const auto most = forwards_allowed(same); whole && forwarded > most) {
      out_.forwarded_too_often += forwarded - most;
      example(place_id(of, same.front().offset) + " was forwarded " + std::to_string(forwarded) + " times");
    }
    // What the resolver decided while we read may be forwarded and behind its position as it was: forwarded counts.
    auto known = take(count.forwarded, forwarded);
    if (!known && same.front().in_store) known += take(count.forwarded, 1);
    known += take(count.parked, parked_.count(hash));
    known += take(count.dead, dead_.count(hash));
    take(count.in_flight, in_flight);
    if (known) {
      take(count.duplicate, left);
    } else if (trimmed_ && !in_.store && same.front().accepted_at < horizon_) {
      take(count.forgotten, left);
    } else if (left > 0) {
      count.unaccounted += left;
      example(place_id(of, same.front().offset) + " is neither forwarded nor parked nor dead");
    }
  }

  // The rows against the index of ids: each row must be where the index says.
  Result<void> look_for_rows_twice() {
    std::vector<std::string> ids, traces;
    error_code failure;
    const auto compare = [&] {
      const auto where = in_.kv.multi_get(Family::assessment_ids, ids);
      if (!where) {
        failure = where.error();
        return false;
      }
      for (std::size_t i = 0; i < ids.size(); ++i) {
        if ((*where)[i] == store_keys::located_value({store_keys::Located::Kind::row, traces[i]})) continue;
        // The index was read after the row: it may have moved or been deleted in between.
        if (const auto again = in_.kv.get(Family::assessments, store_keys::assessment(traces[i], ids[i]));
            again && !*again)
          continue;
        ++out_.stored_twice;
        example("the store has a row of " + ids[i] + " under " + traces[i] + " that its index does not name");
      }
      ids.clear();
      traces.clear();
      return true;
    };
    const auto scanned = in_.kv.scan(Family::assessments, "", "", [&](std::string_view key, std::string_view) {
      const auto row = store_keys::split(key).value_or(store_keys::InTrace{key, key});
      traces.emplace_back(row.trace_id);
      ids.emplace_back(row.rest);
      return ids.size() < batch_max || compare();
    });
    if (!scanned) return scanned;
    if (!failure) compare();
    if (failure) return failure;
    return {};
  }

  const VerifyInput& in_;
  const Store store_;
  Verification out_;
  Ids forwarded_, parked_, dead_;
  bool trimmed_ = false;  // assay.assessments does not go back to its beginning
  Instant horizon_;       // where that is so: what was accepted since then must still be there
};

}  // namespace

std::int64_t Verification::unaccounted() const {
  auto sum = forwarded_too_often + stored_twice;
  for (const auto& [p, count] : feedback) sum += count.unaccounted;
  for (const auto& [p, count] : assessments) sum += count.unaccounted;
  return sum;
}

Result<Verification> verify(const VerifyInput& input) { return Verifier(input).run(); }

}  // namespace assay
