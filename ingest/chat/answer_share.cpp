#include "ingest/chat/answer_share.hpp"

#include "ingest/chat/live_chats.hpp"

namespace assay {
namespace {

constexpr std::size_t step = 4u << 10;

}  // namespace

AnswerShare::~AnswerShare() {
  if (bytes_ > 0) live_->give_back(bytes_);
}

bool AnswerShare::cover(std::size_t bytes) {
  if (bytes <= bytes_) return true;
  const auto more = (bytes - bytes_ + step - 1) / step * step;
  if (!live_->take(more)) return false;
  bytes_ += more;
  return true;
}

}  // namespace assay
