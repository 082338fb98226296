#include "ops/cli/said_by.hpp"

#include <boost/json.hpp>

#include "storage/log/read_all.hpp"
#include "storage/records/catalog_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/state/state_keys.hpp"
#include "storage/store/assessment_row.hpp"
#include "storage/store/catalog.hpp"
#include "storage/store/keys.hpp"
#include "storage/store/trace_row.hpp"

namespace assay::cli {
namespace {

namespace json = boost::json;

// The text at a JSON pointer; empty where there is none.
std::string text_at(std::string_view document, std::string_view pointer) {
  boost::system::error_code ec;
  json::parse_options options;
  options.max_depth = 256;  // doors take 64 levels, and the record has some of its own
  const auto value = json::parse({document.data(), document.size()}, ec, {}, options);
  if (ec) return {};
  const auto* found = value.find_pointer({pointer.data(), pointer.size()}, ec);
  if (ec || !found || !found->is_string()) return {};
  return std::string(found->get_string());
}

// Whether words of the user may stand in it. A change has none to tell by but the id that it is about.
bool may_be_said_by(Op op, const FeedbackItem& item, const std::string& user, UsersIds& ids) {
  if (op != Op::create) return op == Op::update;
  if (!is_said_by(item.json, user)) return false;
  ids.assessments.insert(item.assessment_id);
  return true;
}

}  // namespace

void SaidBy::keep(const std::set<std::string>& of_the_user) {
  const auto others = [&](const auto& one) { return !of_the_user.contains(one.assessment_id); };
  std::erase_if(assessments, [&](const Assessment& one) { return !of_the_user.contains(one.id); });
  std::erase_if(parked, others);
  std::erase_if(in_flight, others);
  std::erase_if(dead_letters, others);
}

bool is_said_by(std::string_view assessment, const std::string& user) {
  return text_at(assessment, "/source/source_id") == user;
}

bool is_asked_by(std::string_view trace_info, const std::string& user) {
  return text_at(trace_info, "/trace_metadata/mlflow.trace.user") == user;
}

std::optional<SaidBy::DatasetEntry> copied_from(std::string_view catalog_value, const std::set<std::string>& traces,
                                                const std::string& user) {
  const auto value = parse_catalog_record(catalog_value);
  const auto* record = value ? std::get_if<DatasetRecord>(&*value) : nullptr;
  if (!record) return {};
  const bool by_user = record->created_by == user || record->last_updated_by == user;
  if (!by_user && !traces.contains(text_at(record->source, "/source_data/trace_id"))) return {};
  return SaidBy::DatasetEntry{record->dataset_id, record->dataset_record_id};
}

std::optional<SaidBy::Parked> parked_by(std::string_view parked_value, const std::string& user, UsersIds& ids) {
  const auto record = parse_parked_record(parked_value);
  if (!record || record->withdrawn || !may_be_said_by(record->op, record->item, user, ids)) return {};
  // Its deletion must wait for what it waits for: that may be an id of its create.
  const bool by_trace_id = record->behind.empty() && record->target.kind == Target::Kind::trace_id;
  return SaidBy::Parked{record->item.record_id, record->item.assessment_id, record->waits_for(), by_trace_id,
                        format_time(record->expires_at)};
}

Result<SaidBy> find_said_by(const KeyValue& kv, const std::string& user, UsersIds& ids) {
  SaidBy said;
  const auto assessment = [&](std::string_view key, std::string_view value) {
    const auto row = AssessmentRow::decode(value);
    const auto in = store_keys::split(key);
    if (!row || !in) return true;
    SaidBy::Assessment found{std::string(in->rest), std::string(in->trace_id)};
    if (row->base() && !is_said_by(row->base()->json, user)) return true;
    if (row->base()) ids.assessments.insert(found.id);
    said.assessments.push_back(std::move(found));
    return true;
  };
  for (const auto family : {Family::assessments, Family::held})
    if (const auto scanned = kv.scan(family, {}, {}, assessment); !scanned) return scanned.error();

  const auto trace = [&](std::string_view key, std::string_view value) {
    const auto id = store_keys::trace_of_info(key);
    if (!id) return true;
    const auto row = TraceRow::decode(value);
    if (!row || !is_asked_by(row->info_json(*id, {}, "[]"), user)) return true;
    said.traces.emplace_back(*id);
    ids.traces.emplace(*id);
    return true;
  };
  if (const auto scanned = kv.scan(Family::traces, {}, {}, trace); !scanned) return scanned.error();

  const auto parked = [&](std::string_view key, std::string_view value) {
    if (!state::parked_id(key)) return true;
    if (auto found = parked_by(value, user, ids)) said.parked.push_back(std::move(*found));
    return true;
  };
  if (const auto scanned = kv.scan(Family::parked, {}, {}, parked); !scanned) return scanned.error();

  const auto dead = [&](std::string_view key, std::string_view value) {
    const auto letter = parse_dead_letter(value);
    if (!letter) return true;
    // What another program wrote may be no feedback of ours, and hold words all the same.
    auto record = letter->record;
    if (auto raw = record ? Result<FeedbackRecord, Malformed>(Malformed{}) : parse_feedback_record(letter->raw))
      record = std::move(*raw);
    if (!record) return true;
    for (const auto& item : record->items) {
      if (!may_be_said_by(record->op, item, user, ids)) continue;
      said.dead_letters.push_back({std::string(key), item.assessment_id});
      break;
    }
    return true;
  };
  if (const auto scanned = kv.scan(Family::dead, {}, {}, dead); !scanned) return scanned.error();

  const auto in_catalog = [&](std::string_view key, std::string_view value) {
    if (!is_dataset_record(key)) return true;
    if (auto found = copied_from(value, ids.traces, user)) said.dataset_records.push_back(std::move(*found));
    return true;
  };
  if (const auto scanned = kv.scan(Family::catalog, {}, {}, in_catalog); !scanned) return scanned.error();
  return said;
}

Result<std::vector<SaidBy::Parked>> find_in_flight(EventSources& log, const ResolvedTo& resolved,
                                                   const std::string& user, UsersIds& ids) {
  std::map<std::string, SaidBy::Parked> found;
  std::set<std::string> taken_back;
  const auto read = read_all(log, Stream::feedback, [&](std::span<const LogRecord> records) {
    for (const auto& record : records) {
      const auto from = resolved.find(record.partition);
      const bool in_flight = from == resolved.end() || record.offset >= from->second;
      const auto feedback = parse_feedback_record(record.value);
      if (!feedback) continue;
      for (const auto& item : feedback->items) {
        const bool may_be = may_be_said_by(feedback->op, item, user, ids);
        if (in_flight && feedback->op == Op::erase) taken_back.insert(item.assessment_id);
        if (in_flight && may_be)
          found[item.assessment_id] = {item.record_id,
                                       item.assessment_id,
                                       feedback->target.id,
                                       feedback->target.kind == Target::Kind::trace_id,
                                       {}};
      }
    }
    return Result<void>();
  });
  if (!read) return read.error();
  std::vector<SaidBy::Parked> out;
  for (auto& [id, one] : found)
    if (!taken_back.contains(id)) out.push_back(std::move(one));
  return out;
}

}  // namespace assay::cli
