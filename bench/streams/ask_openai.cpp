#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>

#include "bench/load/connection.hpp"
#include "bench/load/histogram.hpp"
#include "bench/streams/bench_streams.hpp"

namespace assay::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Timer = asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor>;

struct Asked {
  std::uint64_t sent = 0, ok = 0, late = 0;
  load::LatencyHistogram latency;
};

Task<void> ask(IoContext& io, const Settings& s, Clock::time_point start, int first, Asked& out) {
  const asio::ip::tcp::endpoint server(asio::ip::address_v4::loopback(), s.port);
  load::Connection connection(io.get_executor(), server);
  const std::string body = R"({"model":"mock","messages":[{"role":"user","content":"Is water wet?"}]})";
  const auto text = fmt::format(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
      "\r\n{}",
      body.size(), body);
  Timer timer(io.get_executor());
  for (std::uint64_t n = static_cast<std::uint64_t>(first);; n += static_cast<std::uint64_t>(s.connections)) {
    const auto due = start + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(static_cast<double>(n) / s.rate));
    if (due >= start + std::chrono::seconds(s.seconds)) co_return;
    if (due > Clock::now()) {
      timer.expires_at(due);
      co_await timer.async_wait(as_result);
    } else {
      ++out.late;
    }
    ++out.sent;
    const auto answer = co_await connection.ask(text);
    if (answer && answer->status == 200) ++out.ok;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - due);
    if (due > start + std::chrono::seconds(1)) out.latency.record(static_cast<std::uint64_t>(took.count()));
  }
}

}  // namespace

int ask_openai(const Settings& settings) {
  IoContext io(1);
  Asked out;
  const auto start = Clock::now() + std::chrono::milliseconds(20);
  for (int i = 0; i < settings.connections; ++i)
    asio::co_spawn(io, ask(io, settings, start, i, out), [](std::exception_ptr) {});
  io.run();
  const auto seconds = std::chrono::duration<double>(Clock::now() - start).count();
  fmt::print("asked {} answered {} in {:.1f} s ({:.0f}/s), {} late\n", out.sent, out.ok, seconds,
             static_cast<double>(out.ok) / seconds, out.late);
  fmt::print("from when it was due, ms: p50 {:.3f} p90 {:.3f} p99 {:.3f} p99.9 {:.3f} max {:.3f}\n",
             out.latency.quantile(0.5) / 1e3, out.latency.quantile(0.9) / 1e3, out.latency.quantile(0.99) / 1e3,
             out.latency.quantile(0.999) / 1e3, out.latency.max() / 1e3);
  return out.ok == out.sent ? 0 : 1;
}

}  // namespace assay::bench
