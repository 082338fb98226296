#pragma once
// One keep-alive connection that asks and waits for the answer, as cheaply as a generator must: on the same cores as
// the server, what it spends is taken from the figure. Requests are complete texts; of an answer only the status and
// the body are read.
#include <boost/asio/ip/tcp.hpp>
#include <string>
#include <string_view>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay::load {

struct Answer {
  int status = 0;
  std::string_view body;  // valid until the next ask()
};

class Connection {
 public:
  Connection(Executor executor, asio::ip::tcp::endpoint server) : socket_(executor), server_(server) {}
  // Sends `request` and reads its answer; connects first where needed. After an error the next ask() connects anew.
  Task<Result<Answer>> ask(std::string_view request);

 private:
  Task<Result<void>> connect();
  using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
  Socket socket_;
  asio::ip::tcp::endpoint server_;
  std::string buffer_;
};

}  // namespace assay::load
