#include "ops/cli/control.hpp"

#include <fcntl.h>
#include <sys/socket.h>
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

// The socket's address holds 107 bytes. Where the path is longer, it goes by way of a descriptor of the directory,
// which needs /proc.
class SocketPlace {
 public:
  explicit SocketPlace(const std::string& directory)
      : name_(directory + "/control.sock"),
        directory_(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)),
        address_(name_.size() <= 107 ? name_ : "/proc/self/fd/" + std::to_string(directory_) + "/control.sock") {}
  SocketPlace(const SocketPlace&) = delete;
  SocketPlace& operator=(const SocketPlace&) = delete;
  ~SocketPlace() {
    if (directory_ >= 0) ::close(directory_);
  }
  const std::string& name() const { return name_; }
  Local::endpoint endpoint() const { return Local::endpoint(address_); }

 private:
  const std::string name_;
  const int directory_;
  const std::string address_;
};

constexpr auto transfer_max = 5s;  // of a line, in or out

// One connection: a line in, a line out.
struct Conversation : std::enable_shared_from_this<Conversation> {
  Conversation(Local::socket s, const std::function<std::string(const std::string&)>& a)
      : socket(std::move(s)), timer(socket.get_executor()), answer(a) {}

  void run() {
    limit();
    asio::async_read_until(socket, asio::dynamic_buffer(line, control_line_bytes_max), '\n',
                           [self = shared_from_this()](error_code ec, std::size_t n) {
                             if (ec) return self->finish();
                             self->reply = self->answer(self->line.substr(0, n - 1)) + "\n";
                             self->limit();
                             asio::async_write(self->socket, asio::buffer(self->reply),
                                               [self](error_code, std::size_t) { self->finish(); });
                           });
  }
  void limit() {
    timer.expires_after(transfer_max);
    timer.async_wait([self = shared_from_this()](error_code ec) {
      const bool late =
          self->timer.expiry() <= std::chrono::steady_clock::now();  // else it has been set anew meanwhile
      if (!ec && late) self->socket.close(ec);
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
  Impl(const std::string& directory, std::function<std::string(const std::string&)> a)
      : place(directory), answer(std::move(a)) {}
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
  const SocketPlace place;
  std::function<std::string(const std::string&)> answer;
  asio::io_context io{1};
  Local::acceptor acceptor{io};
  asio::steady_timer pause{io};
  std::jthread thread;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

ControlServer::~ControlServer() {
  impl_->io.stop();
  impl_->thread.join();
  ::unlink(impl_->place.name().c_str());
}

Result<std::unique_ptr<ControlServer>, std::string> ControlServer::open(
    const std::string& data_directory, std::function<std::string(const std::string&)> answer) {
  auto impl = std::make_unique<Impl>(data_directory, std::move(answer));
  const auto& place = impl->place;
  ::unlink(place.name().c_str());  // of a process that was killed: the directory's lock says that none lives
  error_code ec;
  const auto old = ::umask(0177);
  impl->acceptor.open(Local(), ec);
  if (!ec) impl->acceptor.bind(place.endpoint(), ec);
  ::umask(old);
  if (!ec) impl->acceptor.listen(16, ec);
  if (ec) return "the control socket " + place.name() + " can't be made: " + ec.message();
  impl->accept();
  impl->thread = std::jthread([io = &impl->io] { io->run(); });
  return std::unique_ptr<ControlServer>(new ControlServer(std::move(impl)));
}

OwnerAnswer ask_owner(const std::string& data_directory, const std::string& line, std::chrono::seconds limit) {
  asio::io_context io;
  Local::socket socket(io);
  error_code ec;
  const SocketPlace place(data_directory);
  const timeval most{.tv_sec = limit.count(), .tv_usec = 0};  // of one that takes no more connections
  socket.open(Local(), ec);
  ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_SNDTIMEO, &most, sizeof most);
  socket.connect(place.endpoint(), ec);
  if (ec) return {false, "no process answers at " + place.name()};
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
  io.run_for(limit);
  if (!done || ec || n == 0)
    return {false, "the process at " + place.name() + " gave no answer in " + std::to_string(limit.count()) +
                       " seconds: it stands still, or is busy with a copy"};
  return {true, answer.substr(0, n - 1)};
}

}  // namespace assay::cli
