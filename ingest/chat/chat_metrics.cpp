#include "ingest/chat/chat_metrics.hpp"

namespace assay {
namespace {

Counter& ended(Metrics& metrics, const char* outcome) {
  return metrics.counter("assay_ingest_chats_total", "Chats by how they ended", {{"outcome", outcome}});
}

}  // namespace

ChatMetrics::ChatMetrics(Metrics& metrics)
    : answered(ended(metrics, "answered")),
      stopped(ended(metrics, "stopped")),
      failed(ended(metrics, "failed")),
      abandoned(ended(metrics, "abandoned")),
      refused(ended(metrics, "refused")),
      unrecorded(metrics.counter("assay_ingest_chats_unrecorded_total",
                                 "Chats whose end the log did not take at once; the journal keeps them")),
      resumed(metrics.counter("assay_ingest_streams_resumed_total", "Readers that came back to a stream")),
      tokens(metrics.counter("assay_ingest_chat_tokens_total", "Tokens that models sent")),
      open(metrics.gauge("assay_ingest_chats_open", "Chats under way")),
      held_bytes(metrics.gauge("assay_ingest_streams_held_bytes",
                               "Answers under way, and those kept for readers that may come back")),
      first_token(metrics.latency("assay_ingest_chat_first_token_seconds", "Question to first token")),
      whole(metrics.latency("assay_ingest_chat_seconds", "Question to recorded end")) {}

}  // namespace assay
