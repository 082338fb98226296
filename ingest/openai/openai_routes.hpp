#pragma once
// OpenAI's door: POST /v1/chat/completions, GET /v1/models and /v1/models/{model}. Whoever changes the base URL of an
// OpenAI client gets a trace of each answer (X-Trace-Id, X-Client-Request-Id) and can give feedback on it.
//
// The request goes to the model as it came, its answer comes back as it was made: tools, parts, fields that we don't
// know. What the client sends as its key stays here; the model gets ours. An answer's status and headers are sent when
// the model has begun, so that its refusal is an HTTP status, or after heartbeat_every.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/router.hpp"

namespace assay {

// `services` outlives the router.
void add_openai_routes(Router& router, ChatServices& services);

}  // namespace assay
