#pragma once
// Whether what a feedback record says of an assessment is MLflow's JSON of one. Our doors write nothing else; another
// program that writes to the topic may, and what is forwarded is read by everybody.
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/feedback_record.hpp"

namespace assay {

// Why not, the field's name first; none: it is. A create has a name, and a feedback or an expectation; of what is there
// each field has its type, null being as good as absent. Its trace_id stands beside the items, and in none of them.
// Fields that this version does not know are anybody's.
std::optional<std::string> problem_with_item(std::string_view json, Op op);

}  // namespace assay
