// Records of the log, whoever wrote them: read or refused, and what is read is written again as it is understood.
#include "storage/records/assessment_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/feedback_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/records/remains_record.hpp"
#include "storage/records/trace_record.hpp"
#include "tests/fuzz/target.hpp"

namespace assay::fuzz {
namespace {

// Read, written, read and written: the second writing is the first.
template <class Parse>
void settles(Parse parse, std::string_view bytes) {
  const auto first = parse(bytes);
  if (!first) return;
  const auto written = to_record(*first);
  const auto second = parse(*written.value);
  must(second.has_value(), "what is written reads back");
  must(*to_record(*second).value == *written.value, "and is the same");
}

}  // namespace

void one(std::string_view bytes) {
  settles(parse_feedback_record, bytes);
  settles(parse_trace_record, bytes);
  settles(parse_dead_letter, bytes);
  if (const auto parked = parse_parked_record(bytes)) {
    const auto written = parked_value(*parked);
    const auto again = parse_parked_record(written);
    must(again.has_value() && parked_value(*again) == written, "a parked record settles");
  }
  if (const auto remains = parse_remains_record(bytes)) {
    const auto written = remains_value(*remains);
    const auto again = parse_remains_record(written);
    must(again.has_value() && remains_value(*again) == written, "what is left settles");
  }
  (void)parse_assessment_record(bytes);
}

}  // namespace assay::fuzz
