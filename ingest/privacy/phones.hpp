#pragma once
#include <re2/re2.h>

#include <vector>

#include "ingest/privacy/digits.hpp"
#include "ingest/privacy/other_numbers.hpp"

namespace assay {

// Telephone numbers: international ones, two or three groups as people write them, or five pairs. In order, apart from
// each other.
class PhoneFinder {
 public:
  PhoneFinder();
  std::vector<DigitMatch> operator()(std::string_view text) const;

 private:
  RE2 pattern_;
  OtherNumberFinder others_;
};

}  // namespace assay
