#include "workers/chat_closer.hpp"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "ops/runtime/error.hpp"
#include "ops/runtime/log.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/records/chat_span.hpp"
#include "storage/records/json_reader.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/valid_json.hpp"
#include "storage/store/raw_json.hpp"
#include "workers/backoff.hpp"

namespace assay {
namespace {

constexpr std::chrono::milliseconds closer_idle_wait{500};
constexpr std::chrono::milliseconds reread_limit{5'000};

// A chat's own time and a tenth of it: for clocks that differ, and for a door that is just coming back. It has not
// begun much before the log was given its first record, `logged`, whatever the door's clock says.
Instant due_of(const TraceRecord& opened, Instant logged, Instant now) {
  const auto allowed = std::max(std::chrono::milliseconds(0), *opened.ends_by - opened.accepted_at);
  const auto grace = std::max(std::chrono::milliseconds(1000), allowed / 10);
  // Also where this closer learns of it late: the log may have been away for both of them.
  return std::max({*opened.ends_by, logged + allowed, now}) + grace;
}

bool in_progress(const TraceRecord& trace) {
  JsonReader reader;
  auto info = reader.parse(trace.info);
  std::string_view state;
  return info && !info->find_field_unordered("state").get_string().get(state) && state == "IN_PROGRESS";
}

constexpr std::string_view reason = "the front door did not come back";

// Of what its first record says. When it ended nobody knows.
std::string root_span(const TraceRecord& opened) {
  simdjson::dom::parser parser;
  simdjson::dom::element info;
  if (opened.trace_id.size() != trace_prefix.size() + 32 || parser.parse(opened.info).get(info)) return {};
  const auto text = [&](const char* pointer) {
    std::string_view view;
    return info.at_pointer(pointer).get_string().get(view) ? std::string() : std::string(view);
  };
  const auto preview = text("/request_preview"), name = text("/tags/mlflow.traceName");
  const auto inputs = is_json(preview) ? preview : attribute_text(preview);  // a preview may be cut
  const auto started = parse_time(text("/request_time")).value_or(opened.accepted_at);
  const auto span_id = root_span_id(opened.trace_id);
  std::string out;
  JsonWriter json(out);
  json.begin_array();
  begin_chat_span(json, {.trace_id = opened.trace_id,
                         .span_id = span_id,
                         .name = name,
                         .started = started,
                         .ended = started,
                         .error = reason,
                         .inputs = inputs});
  json.field("error", attribute_text(reason)).end_object();
  json.end_object().end_array();
  return out;
}

}  // namespace

Result<TraceRecord, Malformed> abandoned_chat(const TraceRecord& opened) {
  TraceRecord end{.from_spans = opened.from_spans,
                  .trace_id = opened.trace_id,
                  .accepted_at = opened.accepted_at - std::chrono::milliseconds(1)};
  JsonReader reader;
  auto info = reader.parse(opened.info);
  if (!info) return Malformed{info.error()};
  JsonWriter json(end.info);
  json.begin_object();
  const bool ok = for_each_field(*info, [&](std::string_view name, simdjson::ondemand::value value) {
    if (name == "state" || name == "response_preview") return true;
    const std::string field(name);
    const auto raw = raw_json(value);
    if (raw) json.raw_field(field, *raw);
    return raw.has_value();
  });
  if (!ok) return Malformed{"trace_info can't be read"};
  json.field("state", "ERROR");
  json.field("response_preview", R"({"error":")" + std::string(reason) + "\"}").end_object();
  if (!opened.from_spans) end.spans = root_span(opened);
  return end;
}

ChatCloser::ChatCloser(ChatCloserConfig config, EventSources& sources, ChatPositions positions, AppendRecord append,
                       const Clock& clock, Metrics& metrics)
    : config_(std::move(config)),
      sources_(sources),
      positions_(std::move(positions)),
      append_(std::move(append)),
      clock_(clock),
      open_gauge_(metrics.gauge("assay_worker_chats_open", "Chats of front doors under way, as this worker knows")),
      closed_(metrics.counter("assay_worker_chats_closed_total",
                              "Chats ended here, because their front door did not come back")),
      step_(config_.stuck_after) {}

ChatCloser::~ChatCloser() {
  stop();
  open_gauge_.Set(0);
}

void ChatCloser::start() {
  thread_ = std::jthread([this](std::stop_token stop) { run(stop); });
}

void ChatCloser::stop() {
  thread_.request_stop();
  {
    std::scoped_lock lock(mutex_);
    if (source_) source_->wake();
  }
  if (thread_.joinable()) thread_.join();
}

void ChatCloser::run(std::stop_token stop) {
  Backoff backoff(std::chrono::milliseconds(100), std::chrono::milliseconds(10'000));
  while (!stop.stop_requested()) {
    const auto done = step_or_fail(stop);
    if (done) {
      backoff.reset();
      continue;
    }
    if (stop.stop_requested()) return;
    const auto pause = backoff.next();
    spdlog::warn("event=chat_closer_failed error=\"{}\" again_in_ms={}", done.error().message(), pause.count());
    {
      std::scoped_lock lock(mutex_);
      // What was in sight is read anew, and waited for anew: an end may have been missed meanwhile.
      source_.reset();
    }
    (void)sleep_unless_stopped(stop, pause);
  }
}

// What is thrown (the system has no memory) is a failure as any other.
Result<std::size_t> ChatCloser::step_or_fail(std::stop_token stop) {
  try {
    return step(closer_idle_wait, std::move(stop));
  } catch (const std::exception& e) {
    spdlog::error("event=chat_closer_failed problem=\"{}\"", e.what());
    return Error::storage_failed;
  }
}

Result<void> ChatCloser::open_source() {
  followed_.clear();
  where_.clear();
  std::vector<StartAt> starts;
  for (const auto partition : config_.partitions) {
    step_.begin();
    const auto position = positions_.load({Stream::traces, partition});
    if (!position) return position.error();
    followed_[partition].saved = *position;
    starts.push_back({{Stream::traces, partition}, *position});
  }
  auto source = sources_.open(starts);
  if (!source && source.error() == Error::corrupt) {  // behind the end of a topic that was made anew
    spdlog::warn("event=chat_closer_ahead_of_log act=\"from the beginning\"");
    for (auto& start : starts) start.offset = 0;
    source = sources_.open(std::move(starts));
  }
  if (!source) return source.error();
  std::scoped_lock lock(mutex_);
  source_ = std::move(*source);
  return {};
}

Result<std::size_t> ChatCloser::step(std::chrono::milliseconds wait, std::stop_token stop) {
  const StallWatch::Step under_way(step_);
  if (!source_)
    if (const auto opened = open_source(); !opened) return opened.error();
  const auto records = source_->read(config_.records_max, more_due_ ? std::chrono::milliseconds(0) : wait);
  if (!records) return records.error();
  for (const auto partition : config_.partitions)
    if (source_->is_doubtful({Stream::traces, partition})) return make_error_code(Error::log_changed);
  for (const auto& record : *records) note(record);
  const auto closed = close_due(stop);
  open_ = where_.size();
  open_gauge_.Set(static_cast<double>(where_.size()));
  if (!closed) return closed;
  // Under load not after each batch: what is read twice does no harm.
  if (records->empty() || *closed > 0 || ++unsaved_turns_ >= 64)
    if (const auto saved = save(); !saved) return saved.error();
  return closed;
}

// Most records are traces that come whole, and are none of ours: they are not parsed.
void ChatCloser::note(const LogRecord& record) {
  auto& followed = followed_[record.partition];
  const auto at = where_.find(std::string(record.key));
  if (at == where_.end() && record.value.find("\"ends_by\":") == record.value.npos) return;
  const auto trace = parse_trace_record(record.value);
  if (!trace) return;  // the sinks' poison
  const bool open = !trace->deleted && trace->ends_by && in_progress(*trace);
  if (!open) {
    if (trace->deleted || !in_progress(*trace)) ended(trace->trace_id);
    return;
  }
  if (where_.contains(trace->trace_id)) return;
  if (where_.size() >= config_.chats_max && !followed.chats.empty()) {
    spdlog::warn("event=chat_forgotten trace_id={} chats_max={}", followed.chats.begin()->second.trace_id,
                 config_.chats_max);
    ended(std::string(followed.chats.begin()->second.trace_id));
  }
  followed.chats.emplace(record.offset, Chat{trace->trace_id, due_of(*trace, record.at, clock_.now())});
  where_.emplace(trace->trace_id, std::pair(record.partition, record.offset));
}

void ChatCloser::ended(const std::string& trace_id) {
  const auto at = where_.find(trace_id);
  if (at == where_.end()) return;
  const auto [partition, offset] = at->second;
  followed_[partition].chats.erase(offset);
  where_.erase(at);
}

// Only once everything was read that was there when one was due: its end may stand in what was not.
Result<std::size_t> ChatCloser::close_due(std::stop_token stop) {
  std::size_t closed = 0;
  more_due_ = false;
  const auto now = clock_.now();
  for (auto& [partition, followed] : followed_) {
    const auto is_due = [&](const auto& entry) { return entry.second.due <= now; };
    if (!followed.due) {
      if (std::ranges::none_of(followed.chats, is_due)) continue;
      const auto end = source_->end({Stream::traces, partition});
      if (!end) return end.error();
      followed.due = {now, *end};
    }
    if (source_->position({Stream::traces, partition}) < followed.due->end) continue;
    const auto due = *std::exchange(followed.due, {});
    std::unique_ptr<EventSource> again;  // a reader of its own for the records that the chats began with
    for (auto at = followed.chats.begin(); at != followed.chats.end();) {
      const auto [offset, chat] = *at++;
      if (chat.due > due.at) continue;
      if (closed >= config_.closes_max || stop.stop_requested()) {
        followed.due = due;  // the next step goes on
        more_due_ = true;
        return closed;
      }
      if (!again) {
        auto opened = sources_.open({{{Stream::traces, partition}, offset}});
        if (!opened) return opened.error();
        again = std::move(*opened);
      }
      if (const auto done = close(partition, *again, offset, chat.trace_id); !done) return done.error();
      ended(chat.trace_id);
      ++closed;
    }
  }
  return closed;
}

Result<void> ChatCloser::close(Partition partition, EventSource& source, Offset offset, const std::string& trace_id) {
  step_.begin();
  if (const auto sought = source.seek({Stream::traces, partition}, offset); !sought) return sought.error();
  const auto records = source.read(1, reread_limit);
  if (!records) return records.error();
  if (records->empty()) return Error::timed_out;
  const auto& record = records->front();
  if (record.offset != offset) return {};  // trimmed away: nobody can read its trace's beginning any more
  const auto opened = parse_trace_record(record.value);
  if (!opened) return {};
  auto end = abandoned_chat(*opened);
  if (!end) return {};
  if (const auto appended = append_(to_record(*end)); !appended) return appended.error();
  closed_.Increment();
  spdlog::warn("event=chat_closed trace_id={} reason=\"its front door did not come back\"", trace_id);
  return {};
}

// A partition is read anew from the oldest chat that is still open.
Result<void> ChatCloser::save() {
  unsaved_turns_ = 0;
  std::vector<std::pair<StreamPartition, Offset>> moved;
  for (auto& [partition, followed] : followed_) {
    const StreamPartition where{Stream::traces, partition};
    const auto next = followed.chats.empty() ? source_->position(where) : followed.chats.begin()->first;
    if (next != followed.saved) moved.emplace_back(where, next);
  }
  if (moved.empty()) return {};
  if (const auto saved = positions_.save(moved); !saved) return saved;
  for (const auto& [where, next] : moved) followed_[where.partition].saved = next;
  return {};
}

}  // namespace assay
