#pragma once
// Three parts of one program, each of which runs until it is done or its standard input ends: see README.md.
#include <cstdint>
#include <string>

namespace assay::bench {

struct Settings {
  std::uint16_t port = 8080;
  int streams = 1000;  // read at once
  int tokens = 100;    // that each is to give
  double tokens_per_second = 10;
  int opened_per_second = 1000;  // how fast they are opened
  double rate = 1000;            // requests a second
  int seconds = 10;
  int connections = 64;
  bool idle = false;  // open streams and read nothing for `seconds`
  long pid = 0;       // whose memory is told; 0: nobody's
};

// A model: OpenAI's protocol, streamed at tokens_per_second, or whole at once.
int serve_mock_model(const Settings& settings);
// Opens streams of chats and says how well each kept to the schedule of its tokens.
int read_streams(const Settings& settings);
// Asks for whole completions at a rate (open loop) and says how long each took from the time it was due.
int ask_openai(const Settings& settings);

// Bytes of physical memory that a process holds by itself; 0 where that is not known.
std::size_t private_bytes(long pid);

}  // namespace assay::bench
