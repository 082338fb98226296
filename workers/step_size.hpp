#pragma once
// How large the next step may be. One that a slow broker can't take in its time would fail as often as it is tried: a
// step that was not committed is followed by smaller ones, many that were by larger ones again.
#include "workers/resolver.hpp"

namespace assay {

class StepSize {
 public:
  explicit StepSize(const ResolvePolicy& most) : most_(most), policy_(most) {}

  // The one given, with the bounds of the next step.
  const ResolvePolicy& policy() const { return policy_; }

  void committed();
  void failed();

 private:
  void halve(int times);

  const ResolvePolicy most_;
  ResolvePolicy policy_;
  int halvings_ = 0, committed_since_ = 0;
};

}  // namespace assay
