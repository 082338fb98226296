#pragma once
// Ids of this system: a prefix and 32 hex digits, that is 128 bits. Random ones come from the operating system's
// generator (through OpenSSL); derived ones from SHA-256, so that a repeat of a request names the same thing.
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "ops/runtime/clock.hpp"

namespace assay {

inline constexpr std::string_view trace_prefix = "tr-";
inline constexpr std::string_view assessment_prefix = "a-";
inline constexpr std::string_view request_prefix = "req-";
inline constexpr std::string_view change_prefix = "u-";

// Whether it has the form of a trace's own id, as MLflow makes them: trace_prefix and 32 lower-case hexadecimal digits.
bool is_trace_id(std::string_view id);

// Thread-safe (a buffer of random bytes a thread).
std::string random_id(std::string_view prefix);
// A UUID of version 7 (RFC 9562): the time in milliseconds, then 74 random bits. What is made together stands together
// in every table that is sorted by it, and is written and asked for there several times as cheaply. Thread-safe, too.
std::string time_ordered_id(std::string_view prefix, Instant now);
// The first 128 bits of SHA-256 over the parts, each preceded by its length, so that ("ab","c") and ("a","bc") differ.
std::string derived_id(std::string_view prefix, std::initializer_list<std::string_view> parts);
// The first 64 bits of the same.
std::uint64_t content_hash(std::initializer_list<std::string_view> parts);
// 16 hex digits, as an OpenTelemetry span id.
std::string random_span_id();

}  // namespace assay
