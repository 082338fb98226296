#include "ingest/http/json_body.hpp"

#include <boost/beast/core/string.hpp>

namespace assay {

using boost::beast::iequals;

std::optional<Rejection> problem_with_form(const Request& request) {
  const auto coding = request.header("Content-Encoding").value_or("");
  if (!coding.empty() && !iequals(coding, "identity") && !iequals(coding, "utf-8"))
    return Rejection{415, "Content-Encoding", "JSON is needed as it is, not packed"};
  auto type = request.header("Content-Type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  const bool is_form = iequals(type, "application/x-www-form-urlencoded");
  if (!is_form && !iequals(type.substr(0, 10), "multipart/")) return {};
  // curl calls so whatever it is given.
  const auto first = request.body.find_first_not_of(" \t\r\n");
  if (first == request.body.npos || request.body[first] == '{' || request.body[first] == '[') return {};
  return Rejection{415, "Content-Type", is_form ? "JSON is needed, not a form" : "JSON is needed, not multipart"};
}

}  // namespace assay
