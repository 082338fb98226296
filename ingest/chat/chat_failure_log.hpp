#pragma once
// A model that fails is said in the log: the chats' traces are elsewhere, or nobody looks there yet.
#include <string_view>

#include "ingest/chat/chat_backend.hpp"

namespace assay {

// A line a second at most, with how many were passed over before it; without the words of the model, which may quote
// what it was asked.
void log_failure(std::string_view trace_id, const ChatFailure& failure);

}  // namespace assay
