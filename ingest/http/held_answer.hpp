#pragma once
// An answer that is kept until it is whole, for what must be done before the client hears of it. What is longer than
// `bytes_max` goes out as it comes.
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ingest/http/request.hpp"
#include "ingest/http/response_stream.hpp"

namespace assay {

class HeldAnswer final : public ResponseStream {
 public:
  explicit HeldAnswer(ResponseStream& to, std::size_t bytes_max = 64u << 10) : to_(to), bytes_max_(bytes_max) {}

  // All of it is here, and nothing has gone out.
  bool whole() const { return state_ == State::held && ended_; }
  unsigned status() const { return status_; }
  const std::string& body() const { return body_; }  // not of what respond() was given: a refusal of the door's own
  // What is held goes out; what is not whole is cut there, too. Where nothing is held, nothing happens.
  Task<Result<void>> give_out();

  Task<Result<void>> respond(Response response) override;
  Task<Result<void>> begin(unsigned status, std::string_view content_type, Headers headers) override;
  Task<Result<void>> begin_sized(unsigned status, Headers headers, std::uint64_t length) override;
  Task<Result<void>> write(std::string_view bytes) override;
  Task<Result<void>> end() override;
  void expect_reader(std::chrono::milliseconds limit) override;
  std::unique_ptr<TakenConnection> take_over() override { return nullptr; }
  bool gone() override { return to_.gone(); }

 private:
  void hold(unsigned status, std::string_view content_type, Headers headers);

  ResponseStream& to_;
  const std::size_t bytes_max_;
  enum class State { empty, held, given_out } state_ = State::empty;
  unsigned status_ = 0;
  std::string content_type_, body_;
  std::vector<std::pair<std::string, std::string>> headers_;
  std::optional<std::uint64_t> length_;
  std::optional<Response> response_;
  bool ended_ = false;
};

// The request's headers, where its answer is to be read here.
std::vector<HeaderField> asking_for_no_coding(const Request& request);

}  // namespace assay
