#include "ingest/http/router.hpp"

#include <simdjson.h>

#include <cassert>
#include <span>

#include "ingest/http/percent.hpp"

namespace assay {
namespace {

// Splits "/a/b" into "a", "b"; calls take(segment) until it says false.
template <class Take>
bool each_segment(std::string_view path, Take take) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const auto slash = path.find('/');
    if (!take(path.substr(0, slash))) return false;
    path = slash == path.npos ? std::string_view() : path.substr(slash);
  }
  return true;
}

using Params = std::array<std::string, 2>;

// Of a pattern: what stands in `path` where it has a parameter ("" among its segments). None: they do not fit.
std::optional<Params> match(std::span<const std::string> pattern, std::string_view path) {
  Params params;
  std::size_t filled = 0;
  const auto fits = [&](std::string_view segment) {
    if (pattern.empty()) return false;
    const auto& literal = pattern.front();
    pattern = pattern.subspan(1);
    if (!literal.empty()) return literal == segment;
    auto decoded = percent_decoded(segment);
    if (!decoded || decoded->empty() || filled == params.size() || !simdjson::validate_utf8(*decoded)) return false;
    params[filled++] = std::move(*decoded);
    return true;
  };
  if (!each_segment(path, fits) || !pattern.empty()) return {};
  return params;
}

}  // namespace

void Router::add(http::verb method, std::string pattern, Handler handler, RouteOptions options) {
  insert(method, std::move(pattern), std::move(handler), options);
}

void Router::add_stream(http::verb method, std::string pattern, StreamHandler handler, RouteOptions options) {
  insert(method, std::move(pattern), std::move(handler), options);
}

void Router::set_behind(PassHandler handler, RouteOptions reads, RouteOptions writes) {
  const auto keep = [this](http::verb method, PassHandler pass, RouteOptions options) {
    Route route{method, "/*", std::move(pass), options, routes_.size()};
    return routes_.emplace_back(std::make_unique<Route>(std::move(route))).get();
  };
  behind_reads_ = keep(http::verb::get, handler, reads);
  behind_writes_ = keep(http::verb::unknown, std::move(handler), writes);
}

void Router::insert(http::verb method, std::string pattern, std::variant<Handler, StreamHandler, PassHandler> handler,
                    RouteOptions options) {
  assert(pattern.starts_with('/'));
  auto& route = *routes_.emplace_back(
      std::make_unique<Route>(Route{method, pattern, std::move(handler), options, routes_.size()}));
  if (pattern.find('{') == pattern.npos) {
    exact_[pattern].routes.push_back(&route);
    return;
  }
  std::vector<std::string> segments;
  each_segment(pattern, [&](std::string_view segment) {
    segments.emplace_back(segment.starts_with('{') ? std::string_view() : segment);
    return true;
  });
  for (auto& known : patterns_)
    if (known.segments == segments) {
      known.routes.push_back(&route);
      return;
    }
  patterns_.push_back({std::move(segments), {&route}});
}

Router::RouteMatch Router::find(http::verb method, std::string_view path) const {
  auto found = find_own(method, path);
  if (!found.route) found.route = behind(method);
  return found;
}

Router::RouteMatch Router::find_own(http::verb method, std::string_view path) const {
  RouteMatch found;
  if (method == http::verb::head) method = http::verb::get;
  const auto choose = [&](const Pattern& pattern) {
    for (const auto* route : pattern.routes) {
      if (route->method == method) {
        found.route = route;
        return;
      }
      if (!found.allow.empty()) found.allow += ", ";
      found.allow += http::to_string(route->method);
      if (route->method == http::verb::get) found.allow += ", HEAD";
    }
  };
  if (const auto exact = exact_.find(path); exact != exact_.end()) {
    choose(exact->second);
    return found;
  }
  if (!path.starts_with('/')) return found;
  for (const auto& pattern : patterns_)
    if (auto params = match(pattern.segments, path)) {
      found.params = std::move(*params);
      choose(pattern);
      break;
    }
  return found;
}

}  // namespace assay
