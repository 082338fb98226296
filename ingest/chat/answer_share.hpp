#pragma once
// What one chat takes of the memory that all answers may have: see LiveChats. Gives it back when it dies.
#include <cstddef>
#include <utility>

namespace assay {

class LiveChats;

class AnswerShare {
 public:
  explicit AnswerShare(LiveChats& live) : live_(&live) {}
  AnswerShare(AnswerShare&& other) noexcept
      : live_(std::exchange(other.live_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  AnswerShare& operator=(AnswerShare&&) = delete;
  ~AnswerShare();

  // Makes it `bytes` at least; it grows by steps, and never shrinks. False: there is no room, and it is as it was.
  bool cover(std::size_t bytes);

 private:
  LiveChats* live_;
  std::size_t bytes_ = 0;
};

}  // namespace assay
