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
  // A letter of its create stands, or of a replay of that.
  bool is_dead(const std::string& assessment_id) const;

  // A letter was written.
  void died(const std::string& assessment_id, const std::string& record_id, Instant until);
  // The letters of its create and of the replays of that have ended, or all letters: these.
  std::vector<std::string> end_letters_of_create(const std::string& assessment_id);
  std::vector<std::string> end_letters(const std::string& assessment_id);
  void take_back(const std::string& assessment_id, Instant until);
  // Nothing where it is remembered for longer than that, since this step has added to it.
  void forget(const std::string& assessment_id, Instant upto);

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
