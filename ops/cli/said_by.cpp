#include "ops/cli/said_by.hpp"

#include <boost/json.hpp>

#include "storage/log/read_all.hpp"
#include "storage/records/catalog_record.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/store/assessment_row.hpp"
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

}  // namespace

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

std::optional<SaidBy::Parked> parked_by(std::string_view parked_value, const std::string& user) {
  const auto record = parse_parked_record(parked_value);
  if (!record || record->op != Op::create || !is_said_by(record->item.json, user)) return {};
  return SaidBy::Parked{record->item.record_id, record->item.assessment_id, record->target.id,
                        record->target.kind == Target::Kind::trace_id, format_time(record->expires_at)};
}

Result<SaidBy> find_said_by(const KeyValue& kv, const std::string& user, std::span<const std::string> gone) {
  SaidBy said;
  const auto assessment = [&](std::string_view key, std::string_view value) {
    const auto row = AssessmentRow::decode(value);
    const auto nul = key.find('\0');
    if (row && row->base() && nul != key.npos && is_said_by(row->base()->json, user))
      said.assessments.push_back({std::string(key.substr(nul + 1)), std::string(key.substr(0, nul))});
    return true;
  };
  for (const auto family : {Family::assessments, Family::held})
    if (const auto scanned = kv.scan(family, {}, {}, assessment); !scanned) return scanned.error();

  const auto trace = [&](std::string_view key, std::string_view value) {
    const auto nul = key.find('\0');
    if (nul == key.npos || key.substr(nul + 1) != "i") return true;
    const auto id = key.substr(0, nul);
    const auto row = TraceRow::decode(value);
    if (row && is_asked_by(row->info_json(id, {}, "[]"), user)) said.traces.emplace_back(id);
    return true;
  };
  if (const auto scanned = kv.scan(Family::traces, {}, {}, trace); !scanned) return scanned.error();

  const auto parked = [&](std::string_view key, std::string_view value) {
    if (key.size() < 5 || key[4] != 'r') return true;
    if (auto found = parked_by(value, user)) said.parked.push_back(std::move(*found));
    return true;
  };
  if (const auto scanned = kv.scan(Family::parked, {}, {}, parked); !scanned) return scanned.error();

  const auto dead = [&](std::string_view key, std::string_view value) {
    const auto letter = parse_dead_letter(value);
    if (letter && letter->record && is_said_by(letter->record->items.front().json, user))
      said.dead_letters.emplace_back(key);
    return true;
  };
  if (const auto scanned = kv.scan(Family::dead, {}, {}, dead); !scanned) return scanned.error();

  std::set<std::string> traces(said.traces.begin(), said.traces.end());
  traces.insert(gone.begin(), gone.end());
  const auto in_catalog = [&](std::string_view key, std::string_view value) {
    if (!key.starts_with('r')) return true;
    if (auto found = copied_from(value, traces, user)) said.dataset_records.push_back(std::move(*found));
    return true;
  };
  if (const auto scanned = kv.scan(Family::catalog, {}, {}, in_catalog); !scanned) return scanned.error();
  return said;
}

Result<std::vector<SaidBy::Parked>> find_in_flight(EventSources& log, const ResolvedTo& resolved,
                                                   const std::string& user) {
  std::map<std::string, SaidBy::Parked> found;
  const auto read = read_all(log, Stream::feedback, [&](std::span<const LogRecord> records) {
    for (const auto& record : records) {
      const auto from = resolved.find(record.partition);
      if (from != resolved.end() && record.offset < from->second) continue;
      const auto feedback = parse_feedback_record(record.value);
      if (!feedback || feedback->op == Op::update) continue;
      for (const auto& item : feedback->items) {
        if (feedback->op == Op::erase)
          found.erase(item.assessment_id);
        else if (is_said_by(item.json, user))
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
  for (auto& [id, one] : found) out.push_back(std::move(one));
  return out;
}

}  // namespace assay::cli
