#include "ingest/web/page.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include "ingest/http/error_response.hpp"
#include "ops/runtime/trimmed.hpp"

namespace assay {
namespace {

// Only what the page itself brings; nothing inline, nothing from elsewhere, in no frame.
constexpr std::string_view content_security_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

template <class Visit>
void each_of_list(std::string_view list, Visit visit) {
  while (!list.empty()) {
    const auto comma = std::min(list.find(','), list.size());
    visit(trimmed(list.substr(0, comma)));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
}

// "gzip;q=0" is a refusal; a q that can't be read counts as 0.
bool wanted(std::string_view parameters) {
  const auto q = parameters.find("q=");
  if (q == parameters.npos) return true;
  double weight = 0;
  const auto text = parameters.substr(q + 2);
  std::from_chars(text.data(), text.data() + text.size(), weight);
  return weight > 0;
}

bool matches(std::string_view if_none_match, std::string_view etag) {
  bool found = false;
  each_of_list(if_none_match, [&](std::string_view one) {
    if (one.starts_with("W/")) one.remove_prefix(2);
    found = found || one == etag || one == "*";
  });
  return found;
}

// One for each coding: they are different bytes (RFC 9110, 8.8.3.3).
std::string etag_of(const PageFile& file, std::string_view coding) {
  std::string etag = "\"";
  etag.append(file.hash);
  if (!coding.empty()) etag.append("-").append(coding);
  return etag += '"';
}

Response serve(const PageFile& file, const Request& request) {
  const auto coding = choose_coding(file, request.header("Accept-Encoding").value_or(""));
  const auto etag = etag_of(file, coding);
  Response response{.content_type = file.content_type};
  response.headers = {
      {"ETag", etag},
      {"Vary", "Accept-Encoding"},
      {"Cache-Control", file.immutable ? "public, max-age=31536000, immutable" : "no-cache"},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cross-Origin-Opener-Policy", "same-origin"},
  };
  if (file.content_type.starts_with("text/html"))
    response.headers.emplace_back("Content-Security-Policy", std::string(content_security_policy));
  if (const auto known = request.header("If-None-Match"); known && matches(*known, etag)) {
    response.status = 304;
    return response;
  }
  if (!coding.empty()) response.headers.emplace_back("Content-Encoding", std::string(coding));
  response.body = coding == "br" ? file.brotli : coding == "gzip" ? file.gzip : file.plain;
  return response;
}

bool is_asset(const PageFile& file) {
  return file.path.starts_with("assets/") && file.path.find('/', std::size("assets/") - 1) == file.path.npos;
}

// Their names change with what they hold: one route, and one label of the metrics, for all.
Handler serves_assets(std::span<const PageFile> files) {
  return [files](Request& request) -> Task<Response> {
    const auto path = "assets/" + std::string(request.params[0]);
    const auto file = std::find_if(files.begin(), files.end(), [&](const PageFile& one) { return one.path == path; });
    if (file == files.end()) co_return error_response(request.path, 404, nothing_there);
    co_return serve(*file, request);
  };
}

Handler leads_to(std::string target) {
  return [target = std::move(target)](Request&) -> Task<Response> {
    Response response{.status = 307, .content_type = text_type};
    response.headers.emplace_back("Location", target);
    co_return response;
  };
}

}  // namespace

std::string_view choose_coding(const PageFile& file, std::string_view accept_encoding) {
  std::optional<bool> brotli, gzip;  // none: not named
  bool others = false;
  each_of_list(accept_encoding, [&](std::string_view one) {
    const auto semicolon = std::min(one.find(';'), one.size());
    const auto name = trimmed(one.substr(0, semicolon));
    const bool takes = wanted(one.substr(semicolon));
    if (name == "br") brotli = takes;
    if (name == "gzip" || name == "x-gzip") gzip = takes;
    if (name == "*") others = takes;
  });
  if (brotli.value_or(others) && !file.brotli.empty()) return "br";
  return gzip.value_or(others) && !file.gzip.empty() ? "gzip" : "";
}

void add_page_routes(Router& router, std::span<const PageFile> files, bool at_root) {
  const RouteOptions small{.scope = Scope::open, .admission = {}, .body_bytes_max = 0};
  for (const auto& file : files) {
    if (is_asset(file)) continue;
    const auto path = "/assay/" + std::string(file.path == "index.html" ? "" : file.path);
    router.add(
        http::verb::get, path, [&file](Request& request) -> Task<Response> { co_return serve(file, request); }, small);
  }
  if (files.empty()) return;
  router.add(http::verb::get, "/assay/assets/{file}", serves_assets(files), small);
  router.add(http::verb::get, "/assay", leads_to("/assay/"), small);
  if (at_root) router.add(http::verb::get, "/", leads_to("/assay/"), small);
}

}  // namespace assay
