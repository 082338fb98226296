#pragma once
// A client that says exactly the bytes it is told, over loopback. Every wait is bounded.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace assay {

class RawClient {
 public:
  explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
  }
  RawClient(const RawClient&) = delete;
  ~RawClient() { close(); }

  bool connected() const { return connected_; }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  // False once the other side has reset; a server that answers early may do that while we still send.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      pollfd p{fd_, POLLOUT, 0};
      if (::poll(&p, 1, limit_ms) <= 0) return false;
      const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
  }

  // One answer with Content-Length, or chunked (its framing stays in the body); empty: closed, or nothing in time.
  std::string read_response(bool head_only = false) {
    while (true) {
      const auto end = pending_.find("\r\n\r\n");
      if (end != pending_.npos) {
        std::size_t size = end + 4;
        const std::string head = pending_.substr(0, size);
        if (head.find("Transfer-Encoding: chunked") != head.npos) {
          const auto last = pending_.find("\r\n0\r\n\r\n", end);
          if (last != pending_.npos) return take(last + 7);
        } else {
          const auto length = head.find("Content-Length: ");
          if (length != head.npos && !head_only) size += std::stoul(head.substr(length + 16));
          if (pending_.size() >= size) return take(size);
        }
      }
      if (!receive()) return {};
    }
  }

  // All until the other side closes.
  std::string read_until_closed() {
    while (receive()) {
    }
    return take(pending_.size());
  }
  // All that came with this text in it; less, where that does not come.
  std::string read_until(std::string_view text) {
    while (pending_.find(text) == pending_.npos && receive()) {
    }
    return take(pending_.size());
  }
  // Whether the other side closes, in time, without a further byte.
  bool closes() { return pending_.empty() && !receive() && closed_; }

  std::string ask(std::string_view request) { return send(request) ? read_response() : std::string(); }

 private:
  static constexpr int limit_ms = 10'000;

  bool receive() {
    pollfd p{fd_, POLLIN, 0};
    if (::poll(&p, 1, limit_ms) <= 0) return false;
    char bytes[16384];
    const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
    closed_ = n <= 0;
    if (n <= 0) return false;
    pending_.append(bytes, static_cast<std::size_t>(n));
    return true;
  }
  std::string take(std::size_t size) {
    std::string out = pending_.substr(0, size);
    pending_.erase(0, size);
    return out;
  }

  int fd_;
  bool connected_ = false, closed_ = false;
  std::string pending_;
};

}  // namespace assay
