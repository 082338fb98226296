#pragma once
// POST /chat and POST /chat/stream: design of the doors, over ChatTurn.
#include "ingest/chat/chat_turn.hpp"
#include "ingest/http/router.hpp"

namespace assay {

// `services` outlives the router.
void add_chat_routes(Router& router, ChatServices& services);

}  // namespace assay
