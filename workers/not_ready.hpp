#pragma once
// Why a worker's partitions are not ready, in words for /readyz.
#include <string>

#include "ops/runtime/result.hpp"

namespace assay {

enum class NotReady {
  unassigned = 1,  // the group has not said yet which are its
  reading,         // it reads what there was, or builds its state
  failing,         // its last step, or opening, failed
};

class NotReadyCategory final : public boost::system::error_category {
 public:
  const char* name() const noexcept override { return "not ready"; }
  std::string message(int value) const override {
    switch (static_cast<NotReady>(value)) {
      case NotReady::unassigned:
        return "waits for its partitions";
      case NotReady::reading:
        return "reads what there was when it got its partitions";
      case NotReady::failing:
        return "its steps fail: see its log for why";
    }
    return "not ready";
  }
};

inline boost::system::error_code make_error_code(NotReady why) {
  static const NotReadyCategory category;
  return {static_cast<int>(why), category};
}

}  // namespace assay

template <>
struct boost::system::is_error_code_enum<assay::NotReady> : std::true_type {};
