#pragma once
// One vocabulary for failure, from socket to disk: an error_code, carried by boost::system::result.
#include <boost/system/result.hpp>

namespace assay {

using boost::system::error_code;

template <class T, class E = error_code>
using Result = boost::system::result<T, E>;

}  // namespace assay
