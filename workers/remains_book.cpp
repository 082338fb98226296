#include "workers/remains_book.hpp"

#include <algorithm>
#include <utility>

#include "storage/state/remains_state.hpp"

namespace assay {
namespace {

constexpr std::size_t letters_max = 256;  // of one assessment, that are remembered: they are one record

// Or of a replay of it; a conflict's names the record of another.
bool is_of_create(std::string_view letter, std::string_view assessment_id) {
  if (!letter.starts_with(assessment_id)) return false;
  const auto behind = letter.substr(assessment_id.size());
  return behind.empty() || (behind.front() == '#' && behind.find('@') == behind.npos);
}

}  // namespace

void RemainsBook::learn(const std::string& assessment_id, std::optional<Remains> known) {
  const auto [at, first] = known_.try_emplace(assessment_id);
  if (!first) return;
  at->second.before = std::move(known);
  if (at->second.before) at->second.now = *at->second.before;
}

const Remains* RemainsBook::find(const std::string& assessment_id) const {
  const auto at = known_.find(assessment_id);
  return at == known_.end() ? nullptr : &at->second.now;
}

Remains& RemainsBook::change(const std::string& assessment_id) {
  changed_.insert(assessment_id);
  auto& now = known_[assessment_id].now;
  now.assessment_id = assessment_id;
  return now;
}

bool RemainsBook::taken_back(const std::string& assessment_id) const {
  const auto* const remains = find(assessment_id);
  return remains && remains->taken_back;
}

bool RemainsBook::is_dead(const std::string& assessment_id) const {
  const auto* const remains = find(assessment_id);
  return remains &&
         std::ranges::any_of(remains->letters, [&](const auto& letter) { return is_of_create(letter, assessment_id); });
}

void RemainsBook::died(const std::string& assessment_id, const std::string& record_id, Instant until) {
  if (const auto* const remains = find(assessment_id); remains && remains->letters.size() >= letters_max) return;
  auto& remains = change(assessment_id);
  if (std::ranges::find(remains.letters, record_id) == remains.letters.end()) remains.letters.push_back(record_id);
  remains.until = std::max(remains.until, until);
}

std::vector<std::string> RemainsBook::end_letters_of_create(const std::string& assessment_id) {
  if (!is_dead(assessment_id)) return {};
  auto& letters = change(assessment_id).letters;
  const auto others =
      std::ranges::stable_partition(letters, [&](const auto& letter) { return is_of_create(letter, assessment_id); });
  std::vector<std::string> ended(letters.begin(), others.begin());
  letters.erase(letters.begin(), others.begin());
  return ended;
}

std::vector<std::string> RemainsBook::end_letters(const std::string& assessment_id) {
  const auto* const remains = find(assessment_id);
  if (!remains || remains->letters.empty()) return {};
  return std::exchange(change(assessment_id).letters, {});
}

void RemainsBook::take_back(const std::string& assessment_id, Instant until) {
  auto& remains = change(assessment_id);
  remains.taken_back = true;
  remains.until = std::max(remains.until, until);
}

void RemainsBook::forget(const std::string& assessment_id, Instant upto) {
  if (const auto* const remains = find(assessment_id); !remains || remains->until > upto) return;
  auto& remains = change(assessment_id);
  remains.taken_back = false;
  remains.letters.clear();
}

bool RemainsBook::write(Step& step) const {
  bool any = false;
  for (const auto& id : changed_) {
    const auto& [before, now] = known_.at(id);
    if (!before && now.empty()) continue;
    if (before) erase_remains(step.state, step.partition, *before);
    if (!now.empty()) put_remains(step.state, step.partition, now);
    step.outputs.push_back(to_record(now, step.partition));
    any |= !now.empty();
  }
  return any;
}

}  // namespace assay
