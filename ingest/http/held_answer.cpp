#include "ingest/http/held_answer.hpp"

#include <boost/beast/core/string.hpp>

namespace assay {

std::vector<HeaderField> asking_for_no_coding(const Request& request) {
  std::vector<HeaderField> headers(request.headers.begin(), request.headers.end());
  for (auto& [name, value] : headers)
    if (boost::beast::iequals(name, "Accept-Encoding")) value = "identity";
  return headers;
}

void HeldAnswer::hold(unsigned status, std::string_view content_type, Headers headers) {
  state_ = State::held;
  status_ = status;
  content_type_ = content_type;
  for (const auto& [name, value] : headers) headers_.emplace_back(name, value);
}

Task<Result<void>> HeldAnswer::give_out() {
  if (state_ != State::held) co_return Result<void>();
  state_ = State::given_out;
  if (response_) co_return co_await to_.respond(std::move(*response_));
  const std::vector<std::pair<std::string_view, std::string>> headers(headers_.begin(), headers_.end());
  auto done = Result<void>();
  if (length_)
    done = co_await to_.begin_sized(status_, headers, *length_);
  else
    done = co_await to_.begin(status_, content_type_, headers);
  if (done) done = co_await to_.write(body_);
  if (done && ended_) done = co_await to_.end();
  co_return done;
}

Task<Result<void>> HeldAnswer::respond(Response response) {
  hold(response.status, {}, {});
  response_ = std::move(response);
  ended_ = true;
  co_return Result<void>();
}

Task<Result<void>> HeldAnswer::begin(unsigned status, std::string_view content_type, Headers headers) {
  hold(status, content_type, headers);
  co_return Result<void>();
}

Task<Result<void>> HeldAnswer::begin_sized(unsigned status, Headers headers, std::uint64_t length) {
  hold(status, {}, headers);
  length_ = length;
  co_return Result<void>();
}

Task<Result<void>> HeldAnswer::write(std::string_view bytes) {
  if (state_ == State::given_out) co_return co_await to_.write(bytes);
  body_ += bytes;
  if (body_.size() <= bytes_max_) co_return Result<void>();
  co_return co_await give_out();
}

Task<Result<void>> HeldAnswer::end() {
  ended_ = true;
  if (state_ == State::given_out) co_return co_await to_.end();
  co_return Result<void>();
}

void HeldAnswer::expect_reader(std::chrono::milliseconds limit) {
  if (state_ == State::given_out) to_.expect_reader(limit);
}

}  // namespace assay
