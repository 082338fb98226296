#pragma once
// One WebSocket connection (RFC 6455, no extensions), over Beast. Pings are answered, and sent when the other side is
// silent; who does not answer them is closed. One reader and one writer at a time, on the connection's thread.
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "ingest/http/taken_connection.hpp"
#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

struct WebSocketLimits {
  std::size_t message_bytes_max = 128u << 10;   // over it: close 1009
  std::chrono::milliseconds handshake{10'000};  // also for the closing one
  std::chrono::milliseconds idle{30'000};       // without a byte from the other side, which was asked at half of it
  std::chrono::milliseconds stall{30'000};      // for the other side to take a message
};

class WebSocket {
 public:
  enum Close : std::uint16_t { normal = 1000, going_away = 1001, not_text = 1003, too_large = 1009 };
  struct Message {
    std::string data;
    bool text;
  };

  WebSocket(std::unique_ptr<TakenConnection> connection, WebSocketLimits limits);
  ~WebSocket();

  // Answers the handshake: 101, or the refusal that it deserves.
  Task<Result<void>> accept();
  // The next message; after an error the connection is closed, or is cut.
  Task<Result<Message>> read();
  Task<Result<void>> write(std::string_view data, bool text = true);
  // Once, whoever comes first: Beast (1.81) wakes no second close that waits for one under way.
  Task<void> close(Close code, std::string_view reason = {});
  // Ends it at once: whoever reads or writes is told.
  void cut();
  bool draining() const;

 private:
  struct Stream;
  Task<void> linger();
  std::shared_ptr<Stream> stream_;
};

}  // namespace assay
