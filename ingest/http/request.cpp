#include "ingest/http/request.hpp"

#include <boost/beast/core/string.hpp>

namespace assay {

std::optional<std::string_view> Request::header(std::string_view name) const {
  for (const auto& field : headers)
    if (boost::beast::iequals(field.name, name)) return field.value;
  return {};
}

std::size_t Request::count(std::string_view name) const {
  std::size_t n = 0;
  for (const auto& field : headers) n += boost::beast::iequals(field.name, name);
  return n;
}

}  // namespace assay
