#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <set>
#include <utility>

#include "ingest/http/held_answer.hpp"
#include "ingest/mlflow/trace_routes.hpp"
#include "storage/records/request_record.hpp"
#include "storage/records/trace_record.hpp"
#include "storage/store/filter/catalog_filter.hpp"
#include "storage/store/store.hpp"

namespace assay {
namespace {

constexpr std::size_t records_max = 500;  // of one append

// By id, or everything of an experiment up to a time, the oldest first.
struct Deletion {
  std::string experiment;
  std::set<std::string> ids;
  std::optional<std::int64_t> until_ms, most;
};

Result<Deletion, MlflowError> read_deletion(const Request& request) {
  const auto body = read_body(request);
  if (!body) return body.error();
  const auto experiment = required_text(*body, "experiment_id");
  if (!experiment) return experiment.error();
  if (const auto problem = filter::problem_with_experiment_id(*experiment)) return invalid_parameter(problem->message);
  if (auto problem =
          problem_with_types(*body, {{"max_timestamp_millis", FieldType::whole}, {"max_traces", FieldType::whole}}))
    return std::move(*problem);
  const auto ids = texts_in(*body, "request_ids");
  if (!ids) return ids.error();
  const auto until = integer_in(*body, "max_timestamp_millis"), most = integer_in(*body, "max_traces");
  if (!until && ids->empty())
    return invalid_parameter("Either `max_timestamp_millis` or `trace_ids` must be specified.");
  if (until && !ids->empty())
    return invalid_parameter("Only one of `max_timestamp_millis` and `trace_ids` can be specified.");
  if (!ids->empty() && most) return invalid_parameter("`max_traces` can't be specified if `trace_ids` is specified.");
  if (most && *most <= 0)
    return invalid_parameter("`max_traces` must be a positive integer, received " + std::to_string(*most) + ".");
  return Deletion{*experiment, {ids->begin(), ids->end()}, until, most};
}

struct Dated {
  Instant at;
  std::string trace_id;
  auto operator<=>(const Dated&) const = default;
};

// Those of a deletion by time, the oldest first.
Result<std::vector<Dated>> dated_here(const MlflowDoor& door, const Deletion& deletion) {
  std::vector<Dated> found;
  constexpr auto end_of_time = std::int64_t{1} << 50;  // who wants all of them gives the largest number that he has
  const Instant behind{std::chrono::milliseconds(std::min(*deletion.until_ms, end_of_time) + 1)};
  const auto visited =
      Store(door.view->kv())
          .traces_of_experiment(deletion.experiment, Instant{}, behind, [&](std::string_view id, Instant at) {
            found.push_back({at, std::string(id)});
            return !deletion.most || std::ssize(found) < *deletion.most;
          });
  if (!visited) return visited.error();
  return found;
}

// The traces that it means, as far as they are known here.
Result<std::vector<std::string>> known_here(const MlflowDoor& door, const Deletion& deletion) {
  const Store store(door.view->kv());
  std::vector<std::string> found;
  if (deletion.until_ms) {
    auto dated = dated_here(door, deletion);
    if (!dated) return dated.error();
    for (auto& one : *dated) found.push_back(std::move(one.trace_id));
  }
  for (const auto& id : deletion.ids) {
    const auto row = store.trace(id);
    if (!row) return row.error();
    if (*row && may_be_in(door, **row, deletion.experiment)) found.push_back(id);
  }
  return found;
}

// Whether what is not known of the ids was deleted here: the server behind may still show it.
Result<bool> gone_but_for(const MlflowDoor& door, const Deletion& deletion, const std::vector<std::string>& found) {
  for (const auto& id : deletion.ids) {
    if (std::binary_search(found.begin(), found.end(), id)) continue;  // they are of the same order
    const auto deleted = door.view->deleted(id);
    if (!deleted || !*deleted) return deleted;
  }
  return true;
}

// `named`: that the ids name these traces is written with it, for who has not heard of them: what waits for one of them
// waits no longer, and ends with it.
Task<std::optional<Response>> write_deletions(MlflowDoor& door, const Request& request,
                                              const std::vector<std::string>& ids, bool named = false) {
  const auto now = door.clock.now();
  for (std::size_t from = 0; from < ids.size(); from += records_max) {
    std::vector<Record> records;
    for (auto i = from; i < std::min(from + records_max, ids.size()); ++i) {
      records.push_back(to_record(TraceRecord{.deleted = true, .trace_id = ids[i], .accepted_at = now}));
      if (named) std::ranges::move(request_records(ids[i], {}, now), std::back_inserter(records));
    }
    auto refused = co_await write_all(door, request, std::move(records));
    if (refused) co_return refused;
  }
  // Feedback that is said next is about a trace that is gone: the door looks at the view, and does not wait for it.
  if (!ids.empty() && door.view) (void)co_await door.view->applied(door.config.view_wait);
  co_return std::nullopt;
}

// What is known here is deleted by a record, as everything; where that may not be all the server behind is asked to do
// the same, and goes first, so that nothing is deleted that it refuses to delete.
Task<Response> delete_traces(MlflowDoor& door, Request& request) {
  const auto deletion = read_deletion(request);
  if (!deletion) co_return error_response(deletion.error());
  auto refused = co_await ready_to_read(door, request);
  if (refused) co_return std::move(*refused);
  const auto found = known_here(door, *deletion);
  if (!found) co_return read_failed(request, found.error());
  bool all = !door.config.server_behind;
  if (!all && deletion->ids.size() > 0) {
    const auto gone = gone_but_for(door, *deletion, *found);
    if (!gone) co_return read_failed(request, gone.error());
    all = *gone;
  }
  if (!all) co_return error_response(does_not_exist("not all of them are known here"));
  refused = co_await write_deletions(door, request, *found);
  if (refused) co_return std::move(*refused);
  co_return durable(door, R"({"traces_deleted":)" + std::to_string(found->size()) + "}");
}

// How many the server behind says it has deleted.
std::size_t deleted_behind(std::string_view answer) {
  error_code ec;
  const auto said = boost::json::parse(answer, ec);
  if (ec || !said.is_object()) return 0;
  const auto count = integer_in(said.get_object(), "traces_deleted").value_or(0);
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

// What the server behind has deleted by ids is gone here, too: else what the feeder has told of these ids would go on
// being taken for traces. Its answer says how many there were, and not which: where that is not all of them, one may be
// in another experiment and stand, and only what is known here goes.
Task<std::optional<Response>> delete_as_behind(MlflowDoor& door, const Request& request, const Deletion& deletion,
                                               std::string_view answer) {
  if (deleted_behind(answer) >= deletion.ids.size()) {
    const std::vector<std::string> ids(deletion.ids.begin(), deletion.ids.end());
    co_return co_await write_deletions(door, request, ids, true);
  }
  if (!door.view) co_return std::nullopt;
  const auto found = known_here(door, deletion);
  if (!found) co_return read_failed(request, found.error());
  co_return co_await write_deletions(door, request, *found);
}

// Whether the log would take a deletion now: the ids are told with it, as when a trace begins.
Result<void> takes_deletions(const EventLog& log) {
  if (log.feedback_alone()) return Error::log_full;
  return log.writable();
}

// A body of our own, for the server behind.
class TextBody final : public RequestBody {
 public:
  explicit TextBody(std::string text) : text_(std::move(text)) {}
  std::optional<std::uint64_t> length() const override { return text_.size(); }
  Task<Result<std::string_view>> read_some() override {
    const bool first = !std::exchange(given_, true);
    Result<std::string_view> piece = first ? std::string_view(text_) : std::string_view();
    co_return piece;
  }

 private:
  const std::string text_;
  bool given_ = false;
};

// What the server behind says to this; none: it says no, and that is the answer.
Task<std::optional<boost::json::object>> ask_behind(const PassHandler& pass, const Request& like, std::string_view path,
                                                    const boost::json::object& said, ResponseStream& answer) {
  constexpr std::size_t answer_bytes_max = 64u << 20;
  auto request = like;
  request.path = path;
  request.query = {};
  const auto headers = asking_for_no_coding(like);
  request.headers = headers;
  TextBody body(boost::json::serialize(said));
  HeldAnswer held(answer, answer_bytes_max);
  co_await pass(request, body, held);
  error_code ec;
  auto parsed = held.whole() && held.status() == 200 ? boost::json::parse(held.body(), ec) : boost::json::value();
  if (!ec && parsed.is_object()) co_return std::move(parsed.get_object());
  if (held.whole() && held.status() == 200) {  // a page of something before it
    auto unread = error_response(like.path, 502, "what answers at --mlflow-url is not MLflow");
    co_await answer.respond(std::move(unread));
    co_return std::nullopt;
  }
  co_await held.give_out();
  co_return std::nullopt;
}

// The same as dated_here(), of the server behind.
Task<std::optional<std::vector<Dated>>> dated_behind(MlflowDoor& door, const PassHandler& pass, const Request& request,
                                                     const Deletion& deletion, ResponseStream& answer) {
  constexpr std::int64_t page = 100;
  std::vector<Dated> found;
  std::string next;
  do {
    const boost::json::object location{{"type", "MLFLOW_EXPERIMENT"},
                                       {"mlflow_experiment", {{"experiment_id", deletion.experiment}}}};
    boost::json::object search{{"locations", boost::json::array{location}},
                               {"filter", "attributes.timestamp_ms <= " + std::to_string(*deletion.until_ms)},
                               {"order_by", boost::json::array{"timestamp_ms ASC"}},
                               {"max_results", page}};
    if (!next.empty()) search["page_token"] = next;
    const auto said = co_await ask_behind(pass, request, "/api/3.0/mlflow/traces/search", search, answer);
    if (!said) co_return std::nullopt;
    const auto* infos = said->if_contains("traces");
    if (!infos || !infos->is_array()) break;
    for (const auto& info : infos->get_array()) {
      if (!info.is_object()) continue;
      const auto at = parse_time(text_in(info.get_object(), "request_time"));
      auto id = text_in(info.get_object(), "trace_id");
      const auto deleted = door.view->deleted(id);  // here, and it has not heard of it yet
      if (at && !(deleted && *deleted)) found.push_back({*at, std::move(id)});
    }
    next = text_in(*said, "next_page_token");
  } while (!next.empty() && std::ssize(found) < *deletion.most);
  co_return found;
}

// The oldest that there are here and behind, so many: by their ids, since each of the two may not have heard of some.
Task<void> delete_oldest(MlflowDoor& door, const PassHandler& pass, const Request& request, const Deletion& deletion,
                         ResponseStream& answer) {
  constexpr std::size_t ids_at_once = 100;
  auto oldest = co_await dated_behind(door, pass, request, deletion, answer);
  if (!oldest) co_return;
  auto here = dated_here(door, deletion);
  if (!here) {
    auto failed = read_failed(request, here.error());
    co_await answer.respond(std::move(failed));
    co_return;
  }
  std::set<std::string_view> known;
  for (const auto& one : *here) known.insert(one.trace_id);
  std::erase_if(*oldest, [&](const Dated& one) { return known.contains(one.trace_id); });
  oldest->insert(oldest->end(), here->begin(), here->end());
  std::ranges::sort(*oldest);
  if (std::ssize(*oldest) > *deletion.most) oldest->resize(static_cast<std::size_t>(*deletion.most));

  for (std::size_t from = 0; from < oldest->size(); from += ids_at_once) {
    std::vector<std::string> ids;
    for (auto i = from; i < std::min(from + ids_at_once, oldest->size()); ++i) ids.push_back((*oldest)[i].trace_id);
    boost::json::object said{{"experiment_id", deletion.experiment}};
    said["request_ids"] = boost::json::array(ids.begin(), ids.end());
    if (!co_await ask_behind(pass, request, request.path, said, answer)) co_return;
    auto refused = co_await write_deletions(door, request, ids, true);
    if (refused) {
      co_await answer.respond(std::move(*refused));
      co_return;
    }
  }
  auto deleted = durable(door, R"({"traces_deleted":)" + std::to_string(oldest->size()) + "}");
  co_await answer.respond(std::move(deleted));
}

// All up to a time: the server behind has deleted its own. How many of ours are among those it does not say.
Task<std::optional<Response>> delete_up_to_time(MlflowDoor& door, const Request& request, const Deletion& deletion,
                                                std::string_view answer) {
  const auto found = known_here(door, deletion);
  if (!found) co_return read_failed(request, found.error());
  auto refused = co_await write_deletions(door, request, *found);
  if (refused) co_return refused;
  const auto count = std::max(deleted_behind(answer), found->size());
  co_return durable(door, R"({"traces_deleted":)" + std::to_string(count) + "}");
}

// Before the client hears of it. What could not be written here is not asked of the server behind: the client's repeat
// is answered that there was none, and nobody learns any more which of them there were.
Task<void> pass_deletion(MlflowDoor& door, const PassHandler& pass, Request& request, RequestBody& body,
                         ResponseStream& answer) {
  const auto deletion = read_deletion(request);
  const bool by_ids = deletion && !deletion->ids.empty(), by_time = deletion && deletion->until_ms && door.view;
  if (const auto taken = takes_deletions(door.log); (by_ids || by_time) && !taken) {
    auto refusal = error_response(request.path, taken.error());
    co_await answer.respond(std::move(refusal));
    co_return;
  }
  if (by_time && deletion->most) co_return co_await delete_oldest(door, pass, request, *deletion, answer);
  const auto headers = asking_for_no_coding(request);
  request.headers = headers;
  HeldAnswer held(answer);
  co_await pass(request, body, held);
  std::optional<Response> instead;
  if (held.whole() && held.status() == 200) {
    if (by_ids) instead = co_await delete_as_behind(door, request, *deletion, held.body());
    if (by_time) instead = co_await delete_up_to_time(door, request, *deletion, held.body());
  }
  if (instead)
    co_await answer.respond(std::move(*instead));
  else
    co_await held.give_out();
}

bool deletes_traces(const Request& request) {
  return request.method == http::verb::post && request.path.ends_with("/mlflow/traces/delete-traces");
}

}  // namespace

PassHandler with_deletions(MlflowDoor& door, PassHandler pass) {
  return [&door, pass = std::move(pass)](Request& request, RequestBody& body, ResponseStream& answer) {
    return deletes_traces(request) ? pass_deletion(door, pass, request, body, answer) : pass(request, body, answer);
  };
}

void add_trace_delete_routes(Router& router, MlflowDoor& door) {
  for (const std::string version : {"2.0", "3.0"})
    add_mlflow(router, http::verb::post, version + "/mlflow/traces/delete-traces",
               [&door](Request& r) { return delete_traces(door, r); }, {.scope = Scope::admin, .else_behind = true});
}

}  // namespace assay
