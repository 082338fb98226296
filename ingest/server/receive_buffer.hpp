#pragma once
// What has come on a connection and is not used up. Views into it stay good until something moves its bytes, which only
// the last four do: not while the views of a request are needed.
#include <boost/asio/buffer.hpp>
#include <cstring>
#include <memory>
#include <string_view>

#include "ingest/http/body_buffer.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

class ReceiveBuffer {
 public:
  explicit ReceiveBuffer(std::size_t capacity) { grow_to(capacity); }

  std::string_view bytes() const { return {memory_.get() + start_, end_ - start_}; }
  std::size_t capacity() const { return capacity_; }
  bool full() const { return end_ == capacity_; }

  // Reading from a socket: into room(), then received(n).
  asio::mutable_buffer room() { return asio::buffer(memory_.get() + end_, capacity_ - end_); }
  void received(std::size_t n) { end_ += n; }
  // The first n bytes are used up.
  void consume(std::size_t n) { start_ += n; }

  void to_the_front() {
    if (start_ == 0) return;
    std::memmove(memory_.get(), memory_.get() + start_, end_ - start_);
    end_ -= start_;
    start_ = 0;
  }
  // The n bytes at `at` are used up; what follows moves there.
  void cut(std::size_t at, std::size_t n) {
    auto* gap = memory_.get() + start_ + at;
    std::memmove(gap, gap + n, end_ - start_ - at - n);
    end_ -= n;
  }
  void clear() { start_ = end_ = 0; }
  void grow_to(std::size_t capacity) {
    auto larger = std::make_unique_for_overwrite<char[]>(capacity + BodyBuffer::padding);
    if (end_ > start_) std::memcpy(larger.get() + start_, memory_.get() + start_, end_ - start_);
    memory_ = std::move(larger);
    capacity_ = capacity;
  }

 private:
  std::unique_ptr<char[]> memory_;  // bodies are parsed where they are: with room behind them that simdjson may read
  std::size_t capacity_ = 0, start_ = 0, end_ = 0;
};

}  // namespace assay
