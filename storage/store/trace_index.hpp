#pragma once
// The entries of a trace in the family trace_index, all of them ordered by request_time within what they are about:
//
//   'e' experiment \0                    every trace of an experiment; where it is empty, of none: then a trace that
//                                        tells no time is as old as the last that was said of it
//   's' experiment \0 session \0         of one session (metadata mlflow.trace.session)
//   't' experiment \0 key \0 value \0    with this tag; not of tags that every trace has or whose values are long
//   'x' experiment \0 state \0           OK, ERROR, IN_PROGRESS
//   'c' client_request_id \0             of one client_request_id, whatever its experiment
#include <string>
#include <string_view>
#include <vector>

#include "storage/store/trace_row.hpp"

namespace assay::trace_index {

inline constexpr std::size_t tag_value_bytes_max = 100;
inline constexpr std::string_view session_key = "mlflow.trace.session";

// Whether 't' has entries of such a tag.
bool has_tag(std::string_view key, std::string_view value);

std::string of_experiment(std::string_view experiment);
std::string of_session(std::string_view experiment, std::string_view session);
std::string of_tag(std::string_view experiment, std::string_view key, std::string_view value);
std::string of_state(std::string_view experiment, std::string_view state);
std::string of_request(std::string_view client_request_id);

// Every entry of this trace.
std::vector<std::string> keys_of(const std::string& trace_id, const TraceRow& row);
// Of these, experiment \0 request_time(8) of 'e'; empty: there is none.
std::string place_in(const std::vector<std::string>& keys, std::string_view trace_id);

}  // namespace assay::trace_index
