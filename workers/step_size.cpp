#include "workers/step_size.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr int halvings_max = 8;
constexpr int larger_after = 16;  // committed steps

}  // namespace

void StepSize::committed() {
  if (halvings_ > 0 && ++committed_since_ >= larger_after) halve(halvings_ - 1);
}

void StepSize::failed() { halve(std::min(halvings_ + 1, halvings_max)); }

void StepSize::halve(int times) {
  halvings_ = times;
  committed_since_ = 0;
  policy_.outputs_max = std::max<std::size_t>(most_.outputs_max >> halvings_, 1);
  policy_.bytes_max = std::max<std::size_t>(most_.bytes_max >> halvings_, 1);
}

}  // namespace assay
