#pragma once
// A model for the first run, tests and load: it needs nothing, and answers with what it was asked, word by word.
#include <chrono>

#include "ingest/chat/chat_backend.hpp"

namespace assay {

class BuiltinResponder final : public ChatBackend {
 public:
  static constexpr std::string_view model_name = "assay-builtin";

  // `pause` between two tokens, so that a stream looks like one.
  explicit BuiltinResponder(std::chrono::milliseconds pause = std::chrono::milliseconds{10}) : pause_(pause) {}
  Task<Started> start(ChatQuestion question) override;
  Task<Result<Models, ChatFailure>> models(std::string id) override;

 private:
  std::chrono::milliseconds pause_;
};

}  // namespace assay
