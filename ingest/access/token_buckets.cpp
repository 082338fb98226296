#include "ingest/access/token_buckets.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "ingest/access/secret.hpp"

namespace assay {
namespace {

std::uint64_t random_word() {
  const auto bytes = random_secret(8);
  std::uint64_t word;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const auto product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

std::uint32_t whole(float tokens) { return static_cast<std::uint32_t>(std::max(tokens, 0.0f)); }

std::chrono::milliseconds until_one(float tokens, const Rate& rate) {
  if (tokens >= 1) return {};
  return std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil((1 - tokens) / rate.per_second * 1000)));
}

}  // namespace

TokenBuckets::TokenBuckets(std::size_t slots)
    : sets_(std::bit_ceil(std::max<std::size_t>(slots / 8, 1))),
      secret_(random_word() | 1),
      start_(std::chrono::steady_clock::now()),
      table_(std::make_unique<Set[]>(sets_)) {}

std::uint64_t TokenBuckets::hash(std::string_view caller) const {
  auto state = secret_ ^ caller.size();
  while (!caller.empty()) {
    std::uint64_t word = 0;
    const auto n = std::min<std::size_t>(caller.size(), sizeof word);
    std::memcpy(&word, caller.data(), n);
    state = mix(state ^ word, 0x9e3779b97f4a7c15u ^ secret_);
    caller.remove_prefix(n);
  }
  return mix(state, 0xd6e8feb86659fd93u);
}

std::uint32_t TokenBuckets::milliseconds(Time now) const {
  return static_cast<std::uint32_t>(std::chrono::floor<std::chrono::milliseconds>(now - start_).count());
}

float TokenBuckets::Slot::filled(const Rate& rate, std::uint32_t now_ms) const {
  const auto burst = static_cast<float>(std::max(rate.burst, 1.0));
  if (tag == 0) return burst;
  // Clocks of two threads may be a moment apart: a minute "before" it was last looked at is that, not 49 days later.
  const std::uint32_t elapsed = now_ms - at_ms;
  if (elapsed > 0xffff0000u) return std::min(burst, tokens);
  return std::min(burst, tokens + static_cast<float>(elapsed / 1000.0 * rate.per_second));
}

void TokenBuckets::take_more(std::uint64_t bucket, const Rate& rate, std::size_t more, Time now) {
  auto& set = set_of(bucket);
  set.lock();
  for (auto& slot : set.slots) {
    if (slot.tag != (bucket | 1)) continue;
    slot.tokens = slot.filled(rate, milliseconds(now)) - static_cast<float>(more);
    slot.at_ms = milliseconds(now);
  }
  set.unlock();
}

TokenBuckets::Taken TokenBuckets::take(std::string_view caller, const Rate& rate, Time now) {
  return rate.limited() ? take_from(hash(caller), rate, now) : Taken();
}

TokenBuckets::Taken TokenBuckets::take_from(std::uint64_t key, const Rate& rate, Time now) {
  const auto tag = key | 1;
  const auto now_ms = milliseconds(now);
  const auto filled = [&](const Slot& slot) { return slot.filled(rate, now_ms); };

  auto& set = set_of(key);
  set.lock();
  Slot* mine = nullptr;
  Slot* fullest = &set.slots[0];
  for (auto& slot : set.slots) {
    if (slot.tag == tag) mine = &slot;
    if (filled(slot) > filled(*fullest)) fullest = &slot;
  }
  float tokens = static_cast<float>(std::max(rate.burst, 1.0));
  if (mine) {
    tokens = filled(*mine);
  } else {
    mine = fullest;
    mine->tag = tag;
  }
  Taken taken{.allowed = tokens >= 1, .bucket = key};
  if (taken.allowed) {  // a refusal changes nothing: no fraction of a token is rounded away
    tokens -= 1;
    mine->tokens = tokens;
    mine->at_ms = now_ms;
  }
  set.unlock();

  taken.remaining = whole(tokens);
  if (!taken.allowed) taken.wait = until_one(tokens, rate);
  return taken;
}

TokenBuckets::Taken TokenBuckets::left(std::uint64_t bucket, const Rate& rate, Time now) {
  auto tokens = static_cast<float>(std::max(rate.burst, 1.0));
  auto& set = set_of(bucket);
  set.lock();
  for (const auto& slot : set.slots)
    if (slot.tag == (bucket | 1)) tokens = slot.filled(rate, milliseconds(now));
  set.unlock();
  return {.allowed = tokens >= 1, .remaining = whole(tokens), .wait = until_one(tokens, rate), .bucket = bucket};
}

void append_rate_limit(std::string_view policy, const TokenBuckets::Taken& left, std::string& out) {
  out.append("RateLimit: \"").append(policy).append("\";r=").append(std::to_string(left.remaining));
  out.append(";t=").append(std::to_string(whole_seconds(left.wait))).append("\r\n");
}

void Charge::append_header(std::string& out) const {
  if (buckets) append_rate_limit(policy, buckets->left(bucket, rate, std::chrono::steady_clock::now()), out);
}

}  // namespace assay
