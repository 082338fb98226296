#include "bench/load/connection.hpp"

#include <boost/asio/write.hpp>
#include <charconv>

namespace assay::load {
namespace {

// The length of the body, and whether the server closes after it.
struct Head {
  int status = 0;
  std::size_t body_at = 0, body_bytes = 0;
  bool close = false;
};

bool starts_with_ignoring_case(std::string_view line, std::string_view name) {
  if (line.size() < name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i)
    if ((line[i] | 0x20) != name[i]) return false;
  return true;
}

// None until the head is whole.
bool parse_head(std::string_view text, Head& head) {
  const auto end = text.find("\r\n\r\n");
  if (end == text.npos || text.size() < 12) return false;
  std::from_chars(text.data() + 9, text.data() + 12, head.status);
  head.body_at = end + 4;
  for (auto at = text.find("\r\n"); at < end; at = text.find("\r\n", at + 2)) {
    const auto line = text.substr(at + 2, text.find("\r\n", at + 2) - at - 2);
    if (starts_with_ignoring_case(line, "content-length:")) {
      const auto digits = line.substr(line.find_first_not_of(' ', 15));
      std::from_chars(digits.data(), digits.data() + digits.size(), head.body_bytes);
    } else if (starts_with_ignoring_case(line, "connection: close")) {
      head.close = true;
    }
  }
  return true;
}

}  // namespace

Task<Result<void>> Connection::connect() {
  buffer_.clear();
  auto [ec] = co_await socket_.async_connect(server_, as_result);
  if (ec) {
    error_code ignored;
    socket_.close(ignored);
    co_return Result<void>(ec);
  }
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.non_blocking(true, ignored);
  co_return Result<void>();
}

Task<Result<Answer>> Connection::ask(std::string_view request) {
  error_code ec;
  if (!socket_.is_open()) {
    const auto connected = co_await connect();
    if (!connected) co_return connected.error();
  }
  buffer_.clear();
  auto written = socket_.write_some(asio::buffer(request), ec);  // nearly always takes all of it
  if (ec == asio::error::would_block) ec = {}, written = 0;
  if (!ec && written < request.size()) {
    const auto rest = asio::buffer(request.substr(written));
    auto [failed, n] = co_await asio::async_write(socket_, rest, as_result);
    ec = failed;
  }
  Head head;
  while (!ec) {
    const auto before = buffer_.size();
    buffer_.resize(before + 4096);
    const auto space = asio::buffer(buffer_.data() + before, 4096);
    auto [failed, n] = co_await socket_.async_read_some(space, as_result);
    buffer_.resize(before + n);
    ec = failed;
    if (!ec && (head.body_at || parse_head(buffer_, head)) && buffer_.size() >= head.body_at + head.body_bytes) break;
  }
  if (ec || head.close) {
    error_code ignored;
    socket_.close(ignored);
  }
  if (ec) co_return ec;
  co_return Answer{head.status, std::string_view(buffer_).substr(head.body_at, head.body_bytes)};
}

}  // namespace assay::load
