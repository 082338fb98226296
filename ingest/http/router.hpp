#pragma once
// Which handler a request goes to, and under which limits. Filled before the front door starts, read-only afterwards:
// shared by all threads without a lock.
#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ingest/http/admission.hpp"
#include "ingest/http/request.hpp"
#include "ingest/http/request_body.hpp"
#include "ingest/http/response.hpp"
#include "ingest/http/response_stream.hpp"
#include "ingest/http/scope.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

// Handlers run on the session's thread and must not block it. What they reach lives as long as the front door. An
// exception is answered with 500 and is a bug.
using Handler = std::function<Task<Response>(Request&)>;
using StreamHandler = std::function<Task<void>(Request&, ResponseStream&)>;
// Its request has no body: it asks for that itself.
using PassHandler = std::function<Task<void>(Request&, RequestBody&, ResponseStream&)>;

struct RouteOptions {
  // What a caller needs to be let in; has no default: who adds a door says whom it is for.
  RequiredScope scope;
  // A feedback capability opens it, too; its handler checks that it is for what is asked.
  bool capability = false;
  // Which share of the budget a request asks for before its body is read; none: always let in (health).
  std::optional<Admission::Kind> admission = Admission::Kind::feedback;
  std::size_t body_bytes_max = 64u << 10;
  // From the first byte of the request to the last of its answer; zero: HttpConfig::request_timeout. A stream's counts
  // until it begins: from then on the write limit holds.
  std::chrono::milliseconds time_max{0};
  // Where it answers 404 or 501, and there is a server behind this door, that one is asked instead. Of a Handler.
  bool else_behind = false;
};

struct Route {
  http::verb method;
  std::string pattern;
  std::variant<Handler, StreamHandler, PassHandler> handler;
  RouteOptions options;
  std::size_t number = 0;  // its place among all routes: what metrics are found by
};

class Router {
 public:
  // A pattern is a path whose segments are literal or {name}, at most two of these: "/feedback/{assessment_id}". What
  // is literal wins over what is not. Adding the same method and pattern twice is a bug.
  void add(http::verb method, std::string pattern, Handler handler, RouteOptions options);
  void add_stream(http::verb method, std::string pattern, StreamHandler handler, RouteOptions options);

  // Whatever has no route goes there, the methods that a path does not take included: the server behind this door.
  // GET and HEAD need what `reads` says, everything else what `writes` says.
  void set_behind(PassHandler handler, RouteOptions reads, RouteOptions writes);
  // Null: there is none.
  const Route* behind(http::verb method) const {
    return method == http::verb::get || method == http::verb::head ? behind_reads_ : behind_writes_;
  }

  struct RouteMatch {
    const Route* route = nullptr;       // none: 404, or 405 where `allow` is not empty
    std::string allow;                  // the methods of this path, as the header Allow lists them
    std::array<std::string, 2> params;  // decoded
  };
  // `path` as it was sent. HEAD finds the route of GET.
  RouteMatch find(http::verb method, std::string_view path) const;

  // By number.
  const std::vector<std::unique_ptr<Route>>& routes() const { return routes_; }

 private:
  struct Pattern {
    std::vector<std::string> segments;  // "" for a parameter
    std::vector<const Route*> routes;   // one a method
  };
  RouteMatch find_own(http::verb method, std::string_view path) const;
  void insert(http::verb method, std::string pattern, std::variant<Handler, StreamHandler, PassHandler> handler,
              RouteOptions options);

  std::vector<std::unique_ptr<Route>> routes_;
  const Route *behind_reads_ = nullptr, *behind_writes_ = nullptr;
  std::map<std::string, Pattern, std::less<>> exact_;  // by the whole path
  std::vector<Pattern> patterns_;
};

}  // namespace assay
