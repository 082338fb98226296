#include "ingest/http/http_date.hpp"

#include <cstdio>
#include <ctime>

namespace assay {

std::string_view http_date(Instant at) {
  static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                           "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  thread_local char text[64] = "";
  thread_local std::size_t size = 0;
  thread_local std::time_t written = -1;
  const auto second = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  if (size == 0 || written != second) {
    written = second;
    std::tm tm{};
    gmtime_r(&written, &tm);
    size = static_cast<std::size_t>(std::snprintf(text, sizeof text, "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                                  days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900,
                                                  tm.tm_hour, tm.tm_min, tm.tm_sec));
  }
  return {text, size};
}

bool is_http_date(const std::string& text) {
  for (const auto* form : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm tm{};
    if (const auto* end = ::strptime(text.c_str(), form, &tm); end && end == text.c_str() + text.size()) return true;
  }
  return false;
}

}  // namespace assay
