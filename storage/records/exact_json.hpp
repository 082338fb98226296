#pragma once
// JSON of clients, with its numbers as they were sent: boost::json::parse, before Boost 1.83, reads one double in ten
// beside itself (1/11 as 0.09090909090909093).
#include <boost/json/parse_options.hpp>
#include <boost/json/value.hpp>
#include <boost/system/error_code.hpp>

namespace assay {

// Like boost::json::parse, in everything but that, and that a number which no double holds is an error. Null where
// there is one.
boost::json::value parse_json(boost::json::string_view text, boost::system::error_code& ec,
                              const boost::json::parse_options& options = {});

// How deep JSON in the store may be: a door takes 100 levels at most, and what it is kept in has some of its own. What
// was taken must be read; Boost.JSON's own limit is 32.
inline constexpr std::size_t stored_depth_max = 128;
boost::json::value parse_stored_json(boost::json::string_view text, boost::system::error_code& ec);

}  // namespace assay
