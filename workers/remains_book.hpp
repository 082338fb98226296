#pragma once
// What a step knows, and decides, of what is left of assessments (storage/records/remains_record.hpp): which dead
// letters of theirs the resolver wrote, and which were taken back. Written once a step, however much changes.
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/log/step.hpp"
#include "storage/records/remains_record.hpp"

namespace assay {

class RemainsBook {
 public:
  // As Facts: what is not learnt counts as nothing left, and what is known already stays.
  void learn(const std::string& assessment_id, std::optional<Remains> known);

  bool taken_back(const std::string& assessment_id) const;
  // What was said of it under this record_id is dead: its letter stands, or that of a replay of it.
  bool is_dead(const std::string& assessment_id, std::string_view said) const;

  // A letter was written.
  void died(const std::string& assessment_id, const std::string& record_id, Instant until);
  // The letters of what was said under this record_id have ended, or all letters: these.
  std::vector<std::string> end_letters_of(const std::string& assessment_id, std::string_view said);
  std::vector<std::string> end_letters(const std::string& assessment_id);
  void take_back(const std::string& assessment_id, Instant until);
  void forget(const std::string& assessment_id);

  // What has changed, into the state and the changelog. True where anything is left of an assessment afterwards.
  bool write(Step& step) const;

 private:
  struct Entry {
    std::optional<Remains> before;
    Remains now;
  };
  const Remains* find(const std::string& assessment_id) const;
  Remains& change(const std::string& assessment_id);

  std::unordered_map<std::string, Entry> known_;
  std::set<std::string> changed_;  // in an order that does not depend on the hash
};

}  // namespace assay
