#include "ingest/web/quality_route.hpp"

#include <cmath>

#include "ops/runtime/parse_number.hpp"
#include "storage/store/report.hpp"

namespace assay {

using namespace std::chrono_literals;

namespace {

constexpr double hours_max = 24 * 366;
constexpr std::size_t known_max = 64;
constexpr auto a_moment = 20ms;
constexpr std::chrono::seconds time_max = 60s, view_wait = 5s;

std::optional<double> read_hours(std::string_view text) {
  const auto hours = parse_number<double>(text);
  if (!hours || !std::isfinite(*hours) || *hours <= 0 || *hours > hours_max) return {};
  return hours;
}

}  // namespace

void QualityRoute::add_to(Router& router) {
  router.add(http::verb::get, "/assay/quality", [this](Request& request) { return get(request); },
             {.scope = Scope::read, .body_bytes_max = 0, .time_max = time_max});
}

std::optional<Result<std::string>> QualityRoute::known(const Window& window) {
  std::scoped_lock lock(mutex_);
  const auto found = known_.find(window);
  if (found == known_.end() || found->second.fresh_until < std::chrono::steady_clock::now()) return {};
  return found->second.json;
}

// On the one thread aside.
Result<std::string> QualityRoute::count(const Window& window, std::chrono::steady_clock::time_point until) {
  if (auto made = known(window)) return *made;  // by the one who was before us
  const auto began = std::chrono::steady_clock::now();
  const auto now = clock_.now();
  const auto from = now - std::chrono::milliseconds(static_cast<std::int64_t>(window.hours * 3'600'000));
  const auto go_on = [&] { return !stopping_ && std::chrono::steady_clock::now() < until; };
  if (!go_on()) return Error::stopped;
  auto json = view_->report(window.experiment, from, now, go_on);
  if (!json) return json;
  const auto ended = std::chrono::steady_clock::now();
  const auto took = ended - began;
  std::scoped_lock lock(mutex_);
  if (known_.size() >= known_max) known_.clear();
  known_.insert_or_assign(window, Known{json, ended + (took > a_moment ? 10 * took : 0ms)});
  return json;
}

Task<Result<std::string>> QualityRoute::counted(const Window& window) {
  if (auto made = known(window)) co_return std::move(*made);
  Result<std::string> json = make_error_code(Error::stopped);
  const auto until = std::chrono::steady_clock::now() + time_max;
  const std::function<void()> work = [this, &window, &json, until] {
    try {
      json = count(window, until);
    } catch (const std::exception&) {  // out of memory: not the end of the door
      json = make_error_code(Error::storage_failed);
    }
  };
  if (const auto ran = co_await aside_.run(work); !ran) co_return ran.error();
  co_return json;
}

// Its id. The door's own need not be there yet.
Result<std::string, Rejection> QualityRoute::experiment_asked(const Query& query) const {
  const auto asked = query.get("experiment");
  if (!asked) return experiment_;
  if (asked->empty()) return Rejection{400, "experiment", "it is empty"};
  const auto found = experiment_id_of(view_->kv(), std::string(*asked));
  if (!found) return Rejection{500, "experiment", "the store can't be read: " + found.error().message()};
  if (!*found && *asked != experiment_) return Rejection{404, "experiment", "there is none of this id or name"};
  return found->value_or(experiment_);
}

Task<Response> QualityRoute::get(Request& request) {
  if (!view_) co_return error_response(request.path, 501, "this front door keeps no store to count in: see --view");
  const auto query = Query::parse(request.query);
  if (!query) co_return error_response(request.path, query.error());
  const auto hours = read_hours(query->get("hours").value_or("24"));
  if (!hours) co_return error_response(request.path, 400, "it is not a number of hours from above 0 to 8784", "hours");
  const auto experiment = experiment_asked(*query);
  if (!experiment) co_return error_response(request.path, experiment.error());
  (void)co_await view_->applied(view_wait);  // what was acknowledged is counted; where the log is away, what is here
  const Window window{*experiment, *hours};
  const auto json = co_await counted(window);
  if (!json) co_return error_response(request.path, json.error());
  Response response{.body = *json};
  response.headers.emplace_back("Cache-Control", "no-store");
  co_return response;
}

}  // namespace assay
