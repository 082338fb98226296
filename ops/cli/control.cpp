#include "ops/cli/control.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <thread>

namespace assay::cli {

namespace asio = boost::asio;
using Local = asio::local::stream_protocol;
using namespace std::chrono_literals;

namespace {

std::string socket_path(const std::string& directory) { return directory + "/control.sock"; }

// One connection: a line in, a line out, within five seconds.
struct Conversation : std::enable_shared_from_this<Conversation> {
  Conversation(Local::socket s, const std::function<std::string(const std::string&)>& a)
      : socket(std::move(s)), timer(socket.get_executor(), 5s), answer(a) {}

  void run() {
    timer.async_wait([self = shared_from_this()](error_code ec) {
      if (!ec) self->socket.close(ec);
    });
    asio::async_read_until(socket, asio::dynamic_buffer(line, control_line_bytes_max), '\n',
                           [self = shared_from_this()](error_code ec, std::size_t n) {
                             if (ec) return self->finish();
                             self->reply = self->answer(self->line.substr(0, n - 1)) + "\n";
                             asio::async_write(self->socket, asio::buffer(self->reply),
                                               [self](error_code, std::size_t) { self->finish(); });
                           });
  }
  void finish() {
    timer.cancel();
    error_code ignored;
    socket.close(ignored);
  }

  Local::socket socket;
  asio::steady_timer timer;
  const std::function<std::string(const std::string&)>& answer;
  std::string line, reply;
};

}  // namespace

struct ControlServer::Impl {
  explicit Impl(std::function<std::string(const std::string&)> a) : answer(std::move(a)) {}
  void accept() {
    acceptor.async_accept([this](error_code ec, Local::socket socket) {
      if (ec == asio::error::operation_aborted) return;
      if (ec) return accept_later();
      std::make_shared<Conversation>(std::move(socket), answer)->run();
      accept();
    });
  }
  void accept_later() {  // out of descriptors: breathe, don't spin
    pause.expires_after(100ms);
    pause.async_wait([this](error_code ec) {
      if (!ec) accept();
    });
  }
  std::function<std::string(const std::string&)> answer;
  std::string path;
  asio::io_context io{1};
  Local::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::jthread thread;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  impl_->io.stop();
  impl_->thread.join();
  ::unlink(impl_->path.c_str());
}

Result<std::unique_ptr<ControlServer>, std::string> ControlServer::open(
    const std::string& data_directory, std::function<std::string(const std::string&)> answer) {
  auto impl = std::make_unique<Impl>(std::move(answer));
  impl->path = socket_path(data_directory);
  ::unlink(impl->path.c_str());  // of a process that was killed: the directory's lock says that none lives
  error_code ec;
  const auto old = ::umask(0177);
  impl->acceptor.open(Local(), ec);
  if (!ec && impl->path.size() >= 108)
    ec = boost::system::errc::make_error_code(boost::system::errc::filename_too_long);
  if (!ec) impl->acceptor.bind(Local::endpoint(impl->path), ec);
  ::umask(old);
  if (!ec) impl->acceptor.listen(16, ec);
  if (ec) return "the control socket " + impl->path + " can't be made: " + ec.message();
  impl->accept();
  impl->thread = std::jthread([io = &impl->io] { io->run(); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

OwnerAnswer ask_owner(const std::string& data_directory, const std::string& line) {
  asio::io_context io;
  Local::socket socket(io);
  error_code ec;
  const auto path = socket_path(data_directory);
  if (path.size() >= 108) return {false, "the path of the control socket is too long: " + path};
  socket.connect(Local::endpoint(path), ec);
  if (ec) return {false, "no process answers at " + path};
  asio::write(socket, asio::buffer(line + "\n"), ec);
  std::string answer;
  std::size_t n = 0;
  bool done = false;
  asio::async_read_until(socket, asio::dynamic_buffer(answer, control_line_bytes_max), '\n',
                         [&](error_code failed, std::size_t bytes) {
                           ec = failed;
                           n = bytes;
                           done = true;
                         });
  io.run_for(15s);
  if (!done || ec || n == 0) return {false, "the process at " + path + " gave no answer"};
  return {true, answer.substr(0, n - 1)};
}

}  // namespace assay::cli
