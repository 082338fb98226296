#pragma once
// Field names as protobuf's JSON has them, in camel or in snake case.
#include <boost/json/object.hpp>
#include <string>
#include <string_view>

#include "storage/records/exact_json.hpp"

namespace assay {

// How deep a body may be.
inline constexpr std::size_t message_depth_max = 100;
static_assert(message_depth_max < stored_depth_max);
inline constexpr std::string_view number_too_large = "a number in it is larger than a double can be";

// traceId -> trace_id
std::string snake(std::string_view name);
// A message's fields under their snake-case names, without nulls; its maps and free values keep their keys.
boost::json::object fields_of(const boost::json::object& message);

}  // namespace assay
