#pragma once
// POST /chat, POST /chat/stream, GET and DELETE /chat/stream/{trace_id}: the doors of the guide, over LiveChat.
//
// Who started a stream has its resume token, from the header X-Resume-Token; GET and DELETE want it there or as the
// query's resume_token, or else the identity that it was started with (see starter_of()). 403 without either, and for a
// token that is not the stream's; 404 where the stream is not held (any more); 421 where the token is of another front
// door, or of this one before a restart; 204 where the reader has had all of it.
#include "ingest/chat/live_chats.hpp"
#include "ingest/http/router.hpp"

namespace assay {

// `services` outlives the router.
void add_chat_routes(Router& router, ChatServices& services);

}  // namespace assay
