#pragma once
// How deep a free value is where it is said in protobuf.
#include <boost/json/value.hpp>

namespace assay {

// How many messages it becomes, one inside the other: a list is two, an object three (its entries are messages, too).
int messages_of(const boost::json::value& value);

}  // namespace assay
