#pragma once
// How the spool keeps a record on disk: whole, so that it goes to Kafka as it would have gone at once. Pure.
//
// version (1 byte: 1), stream (1), flags (1: value 1, partition 2), accepted_at in ms (8), partition (4, where
// flagged), count of headers (2), for each length and bytes of name and value (4 each), length and bytes of the key
// (4), the value to the end. Numbers are big-endian. Identities are left out: Kafka can't look for them. DO NOT CHANGE.
#include <optional>
#include <string>
#include <string_view>

#include "storage/records/record.hpp"

namespace assay {

std::string encode_spooled(const Record& record);
// None where the bytes are not of this format.
std::optional<Record> decode_spooled(std::string_view bytes);
// When it was accepted, without reading the rest.
std::optional<Instant> spooled_at(std::string_view bytes);

}  // namespace assay
