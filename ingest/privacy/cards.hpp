#pragma once
#include <vector>

#include "ingest/privacy/digits.hpp"

namespace assay {

// Card numbers: 13 to 19 digits that begin with 2 to 9 and pass Luhn's check, also between other digits. Of a number
// with a fraction neither part is one. In order, apart from each other. Time is linear in the text.
std::vector<DigitMatch> find_cards(std::string_view text);

}  // namespace assay
