// ws_echo: answers every WebSocket message with itself, over the server and the WebSocket of the product: what the
// conformance suite talks to. Prints its port; ends with its standard input.
#include <cstdio>

#include "ingest/server/server.hpp"
#include "ingest/ws/web_socket.hpp"

namespace assay {
namespace {

Task<void> echo(Request&, ResponseStream& stream) {
  auto connection = stream.take_over();
  if (!connection) co_return;
  WebSocketLimits limits{.message_bytes_max = 64u << 20};
  WebSocket socket(std::move(connection), limits);
  if (!co_await socket.accept()) co_return;
  for (;;) {
    auto message = co_await socket.read();
    if (!message) co_return;
    const auto written = co_await socket.write(message->data, message->text);
    if (!written) co_return;
  }
}

int run() {
  HttpConfig config{.port = 0};
  Router router;
  router.add_stream(http::verb::get, "/", &echo, {.scope = Scope::open});
  Admission admission{{}};
  const SystemClock clock;
  Metrics metrics;
  Server server(config, router, admission, clock, metrics);
  if (!server.start()) return 1;
  std::printf("%u\n", server.port());
  std::fflush(stdout);
  while (std::getchar() != EOF) {
  }
  return 0;
}

}  // namespace
}  // namespace assay

int main() { return assay::run(); }
