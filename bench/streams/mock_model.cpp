#include <unistd.h>

#include <boost/asio/steady_timer.hpp>

#include "bench/streams/bench_streams.hpp"
#include "ingest/server/server.hpp"

namespace assay::bench {
namespace {

constexpr std::string_view whole_answer =
    R"({"id":"c-1","object":"chat.completion","created":1,"model":"mock","choices":[{"index":0,"message":)"
    R"({"role":"assistant","content":"Water is wet, and so is the sea."},"finish_reason":"stop"}],)"
    R"("usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}})";
constexpr std::string_view token_event =
    R"(data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"mock","choices":[{"index":0,)"
    R"("delta":{"content":" wet"},"finish_reason":null}]})"
    "\n\n";
constexpr std::string_view last_events =
    R"(data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"mock","choices":[{"index":0,)"
    R"("delta":{},"finish_reason":"stop"}]})"
    "\n\ndata: [DONE]\n\n";

Task<void> answer(const Settings& settings, Request& request, ResponseStream& stream) {
  if (request.body.find("\"stream\":true") == request.body.npos) {
    Response response{.body = std::string(whole_answer)};
    co_await stream.respond(std::move(response));
    co_return;
  }
  const auto pause = std::chrono::duration_cast<std::chrono::steady_clock::duration>(
      std::chrono::duration<double>(1 / settings.tokens_per_second));
  asio::steady_timer timer(co_await asio::this_coro::executor);
  auto due = std::chrono::steady_clock::now();
  auto written = co_await stream.begin(200, "text/event-stream", {});
  for (int i = 0; written && i < settings.tokens; ++i) {
    due += pause;
    timer.expires_at(due);
    co_await timer.async_wait(as_result);
    written = co_await stream.write(token_event);
  }
  if (written) written = co_await stream.write(last_events);
  if (written) co_await stream.end();
}

}  // namespace

int serve_mock_model(const Settings& settings) {
  HttpConfig config{.port = settings.port, .connections_max = 30'000};
  Router router;
  router.add_stream(http::verb::post, "/v1/chat/completions",
                    [&settings](Request& request, ResponseStream& stream) { return answer(settings, request, stream); },
                    {.scope = Scope::open, .admission = {}});
  Admission admission{{}};
  const SystemClock clock;
  Metrics metrics;
  Server server(config, router, admission, clock, metrics);
  if (!server.start()) return 1;
  ::pause();  // until a signal ends the process
  return 0;
}

}  // namespace assay::bench
