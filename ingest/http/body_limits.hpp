#pragma once
// How much of each thing our doors take.
#include <cstddef>

namespace assay {

struct BodyLimits {
  static constexpr std::size_t id_bytes = 250;
  static constexpr std::size_t name_bytes = 250;
  static constexpr std::size_t key_bytes = 255;         // an Idempotency-Key
  static constexpr std::size_t span_id_bytes = 50;      // as much as MLflow's tables hold
  static constexpr std::size_t text_bytes = 16u << 10;  // a comment, a rationale, one value of the metadata
  static constexpr std::size_t metadata_entries = 64;
  static constexpr std::size_t metadata_bytes = 64u << 10;  // of all that changes have merged, as much as one body has
  static constexpr std::size_t depth = 32;
};

}  // namespace assay
