#pragma once
// The fields that several record formats share, read and written in one place.
#include <string>
#include <string_view>

#include "storage/records/feedback_record.hpp"
#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {

std::string hash_text(std::uint64_t hash);  // 16 hex digits
std::string record_id_of(std::string_view assessment_id, int attempt);

// What a reader of one record format has found wrong. Each read_* returns false and says so.
class FieldProblem {
 public:
  bool operator()(std::string_view field, std::string_view what) {
    text_ = std::string(field) + " " + std::string(what);
    return false;
  }
  Malformed malformed() const { return {text_.empty() ? "malformed JSON" : text_}; }

 private:
  std::string text_;
};

bool read_version(simdjson::ondemand::value v, FieldProblem& problem);
bool read_op(simdjson::ondemand::value v, Op& op, FieldProblem& problem);
bool read_time(std::string_view name, simdjson::ondemand::value v, Instant& at, FieldProblem& problem);
bool read_text(std::string_view name, simdjson::ondemand::value v, std::string& text,
               FieldProblem& problem);  // not empty
bool read_hash(std::string_view name, simdjson::ondemand::value v, std::uint64_t& hash, FieldProblem& problem);
bool read_attempt(simdjson::ondemand::value v, int& attempt, FieldProblem& problem);
// One ASSESSMENT or CHANGES: keeps its JSON and its assessment_id.
bool read_item(simdjson::ondemand::object object, FeedbackItem& item, FieldProblem& problem);
// The same of a record of our own, whose item was read before: what an earlier version has kept stays readable.
bool read_kept_item(simdjson::ondemand::object object, FeedbackItem& item, FieldProblem& problem);

}  // namespace assay
