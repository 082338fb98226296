#pragma once
// The limits of the HTTP server. Every wait and every input has one.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace assay {

struct HttpConfig {
  std::string address = "127.0.0.1";
  std::uint16_t port = 8080;  // 0: the system chooses one
  unsigned threads = 1;       // each with a listening socket of its own on the same port

  std::size_t target_bytes_max = 8u << 10;   // request line: over it 414
  std::size_t header_bytes_max = 16u << 10;  // all fields: over it 431
  std::size_t header_fields_max = 100;
  std::size_t connections_max = 4096;           // of the process; one more is answered 503 and closed
  std::size_t connections_per_address_max = 0;  // the same of one address, trusted proxies left out; 0: no bound
  std::size_t discard_bytes_max = 64u << 10;    // an unread body up to this size is read away to keep the connection

  std::chrono::milliseconds header_timeout{10'000};   // first byte of a request to the end of its header
  std::chrono::milliseconds body_timeout{30'000};     // end of header to end of body
  std::chrono::milliseconds request_timeout{60'000};  // end of header to the first byte of the answer
  std::chrono::milliseconds write_timeout{30'000};    // without the client taking a byte
  std::chrono::milliseconds idle_timeout{75'000};     // between requests
  std::chrono::milliseconds linger_timeout{2'000};    // for a refused client to read why
  std::chrono::milliseconds drain_delay{0};           // not ready any more, but still serving, before a drain
  std::chrono::milliseconds drain_max{25'000};        // for running requests to end
  std::chrono::milliseconds sweep_interval{100};      // how exactly the limits above are kept
};

}  // namespace assay
