#pragma once
#include <re2/re2.h>

#include <vector>

#include "ingest/privacy/digits.hpp"

namespace assay {

// Numbers that show by their form what they are, and that it is no telephone number: times, addresses of the network,
// UUIDs, ARNs, years, ISBNs. In order, apart from each other. Time is linear in the text.
class OtherNumberFinder {
 public:
  OtherNumberFinder();
  std::vector<DigitMatch> operator()(std::string_view text) const;

 private:
  RE2 pattern_;
};

}  // namespace assay
