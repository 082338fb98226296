// Plain epoll: the reader must cost less than what it measures.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "bench/load/histogram.hpp"
#include "bench/streams/bench_streams.hpp"

namespace assay::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Reader {
  int fd = -1;
  std::vector<Clock::time_point> arrivals;
  bool ended = false, failed = false;
  std::size_t matched = 0;  // of the marker, over the edges of reads
};

constexpr std::string_view marker = "\"type\":\"token\"";
constexpr std::string_view last = "\"type\":\"done\"";

int open_stream(std::uint16_t port, const std::string& request) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_port = htons(port);
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    ::close(fd);
    return -1;
  }
  return fd;
}

// An event that gathers several tokens counts for all of them: spaces are what the model puts between words.
int tokens_in(std::string_view bytes) {
  int n = 0;
  for (auto at = bytes.find(marker); at != bytes.npos; at = bytes.find(marker, at + 1)) {
    const auto event = bytes.substr(at, bytes.find('\n', at) - at);
    n += std::max<int>(1, static_cast<int>(std::count(event.begin(), event.end(), ' ')));
  }
  return n;
}

}  // namespace

int read_streams(const Settings& settings) {
  // The built-in responder says the message again, a word a token.
  std::string words;
  for (int i = 0; i < settings.tokens && words.size() < 1990; ++i) words += i ? " w" : "w";
  const std::string body = "{\"message\":\"" + words + "\"}";
  const auto request = fmt::format(
      "POST /chat/stream HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
      body.size(), body);
  const auto pause = std::chrono::duration<double>(1 / settings.tokens_per_second);
  const auto before = settings.pid ? private_bytes(settings.pid) : 0;

  std::vector<Reader> readers(static_cast<std::size_t>(settings.streams));
  const int poll = ::epoll_create1(EPOLL_CLOEXEC);
  std::size_t opened = 0, open = 0;
  std::size_t memory = 0;
  const auto start = Clock::now();
  auto last_opened = start;
  std::vector<epoll_event> events(1024);
  std::vector<char> buffer(64 << 10);
  const auto idle_until = [&] { return last_opened + std::chrono::seconds(settings.seconds); };
  for (;;) {
    const auto now = Clock::now();
    const auto due =
        static_cast<std::size_t>(std::chrono::duration<double>(now - start).count() * settings.opened_per_second);
    for (int burst = 0; opened < readers.size() && opened < due && burst < 32; ++burst) {
      auto& reader = readers[opened++];
      reader.fd = open_stream(settings.port, request);
      reader.failed = reader.fd < 0;
      last_opened = Clock::now();
      if (reader.failed) continue;
      reader.arrivals.reserve(static_cast<std::size_t>(settings.tokens) + 16);
      epoll_event event{.events = EPOLLIN, .data = {.u64 = opened - 1}};
      ::epoll_ctl(poll, EPOLL_CTL_ADD, reader.fd, &event);
      ++open;
    }
    if (opened == readers.size()) {
      if (settings.pid && (memory == 0 || now - last_opened < std::chrono::seconds(3)))
        memory = std::max(memory, private_bytes(settings.pid));
      if (open == 0 || (settings.idle && now > idle_until())) break;
      if (now - last_opened > std::chrono::duration<double>(settings.tokens * 3 * pause.count() + 30)) break;
    }
    const int n = ::epoll_wait(poll, events.data(), static_cast<int>(events.size()), 5);
    const auto arrived = Clock::now();
    for (int i = 0; i < n; ++i) {
      auto& reader = readers[events[static_cast<std::size_t>(i)].data.u64];
      const auto got = ::recv(reader.fd, buffer.data(), buffer.size(), 0);
      const std::string_view bytes(buffer.data(), got > 0 ? static_cast<std::size_t>(got) : 0);
      if (reader.arrivals.empty() && bytes.starts_with("HTTP/1.1 ") && !bytes.starts_with("HTTP/1.1 200"))
        reader.failed = true;
      for (int k = tokens_in(bytes); k > 0; --k) reader.arrivals.push_back(arrived);
      reader.ended = reader.ended || bytes.find(last) != bytes.npos;
      if (got > 0 && !reader.ended && !reader.failed) continue;
      reader.failed = reader.failed || !reader.ended;
      ::close(reader.fd);
      reader.fd = -1;
      --open;
    }
  }

  load::LatencyHistogram delay;
  std::size_t failed = 0, tokens = 0, behind = 0;
  double slowest = 0;
  const auto step = std::chrono::duration_cast<Clock::duration>(pause);
  for (const auto& reader : readers) {
    if (reader.failed) ++failed;
    tokens += reader.arrivals.size();
    if (reader.arrivals.size() < 2) continue;
    // The schedule is that of the token that came earliest against it.
    auto origin = reader.arrivals.front();
    for (std::size_t k = 0; k < reader.arrivals.size(); ++k)
      origin = std::min(origin, reader.arrivals[k] - static_cast<long>(k) * step);
    for (std::size_t k = 0; k < reader.arrivals.size(); ++k) {
      const auto late = reader.arrivals[k] - static_cast<long>(k) * step - origin;
      delay.record(static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(late).count()));
    }
    const auto took = std::chrono::duration<double>(reader.arrivals.back() - reader.arrivals.front()).count();
    const auto ratio = took / (static_cast<double>(reader.arrivals.size() - 1) * pause.count());
    slowest = std::max(slowest, ratio);
    if (ratio > 1.1) ++behind;
  }
  fmt::print("streams {} failed {} tokens {} seconds {:.1f}\n", readers.size(), failed, tokens,
             std::chrono::duration<double>(Clock::now() - start).count());
  fmt::print("schedule: slowest {:.3f} of nominal, {} streams over 1.1\n", slowest, behind);
  fmt::print("delay ms: p50 {:.1f} p90 {:.1f} p99 {:.1f} p99.9 {:.1f} max {:.1f}\n", delay.quantile(0.5) / 1e3,
             delay.quantile(0.9) / 1e3, delay.quantile(0.99) / 1e3, delay.quantile(0.999) / 1e3, delay.max() / 1e3);
  if (settings.pid)
    fmt::print("server memory: {} MB, {:.1f} kB a stream\n", memory >> 20,
               static_cast<double>(memory - std::min(memory, before)) / 1024 / static_cast<double>(readers.size()));
  return failed ? 1 : 0;
}

}  // namespace assay::bench
