#pragma once
// A server on loopback that says what a test tells it to, byte by byte: one thread a connection, blocking sockets.
// Good peers and bad ones: what is scripted may break the protocol.
#include <openssl/ssl.h>
#include <poll.h>

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace assay::test {

// A key and a certificate for `name` signed by itself, both PEM, made for one run.
struct SelfSigned {
  std::string key, certificate;
};
inline SelfSigned make_self_signed(const std::string& name) {
  EVP_PKEY* key = EVP_EC_gen("P-256");
  X509* cert = X509_new();
  X509_set_version(cert, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
  X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
  X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
  X509_set_pubkey(cert, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(cert, X509_get_subject_name(cert));
  const auto extend = [&](int nid, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, cert, cert, nullptr, nullptr, 0);
    X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
  };
  extend(NID_basic_constraints, "critical,CA:TRUE");
  extend(NID_subject_alt_name, (name.find_first_not_of("0123456789.") == std::string::npos ? "IP:" : "DNS:") + name);
  X509_sign(cert, key, EVP_sha256());
  const auto pem = [](auto write) {
    BIO* bio = BIO_new(BIO_s_mem());
    write(bio);
    char* bytes = nullptr;
    const auto size = BIO_get_mem_data(bio, &bytes);
    std::string out(bytes, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
  };
  SelfSigned out{pem([&](BIO* bio) { PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); }),
                 pem([&](BIO* bio) { PEM_write_bio_X509(bio, cert); })};
  X509_free(cert);
  EVP_PKEY_free(key);
  return out;
}

class ScriptedServer {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  // One connection. Calls fail quietly when the peer has gone or the server stops.
  class Conversation {
   public:
    Conversation(Socket socket, int number) : socket_(std::move(socket)), number(number) {}
    // Header and body (by Content-Length); none when the peer closed.
    std::optional<std::string> read_request() {
      for (;;) {
        const auto header_end = buffer_.find("\r\n\r\n");
        if (header_end != std::string::npos) {
          const auto at = buffer_.find("Content-Length: ");
          const auto size = header_end + 4 + (at < header_end ? std::stoul(buffer_.substr(at + 16)) : 0);
          if (buffer_.size() >= size) {
            auto request = buffer_.substr(0, size);
            buffer_.erase(0, size);
            return request;
          }
        }
        char bytes[4096];
        boost::system::error_code ec;
        const auto n =
            tls_ ? tls_->read_some(boost::asio::buffer(bytes), ec) : socket_.read_some(boost::asio::buffer(bytes), ec);
        if (ec) return {};
        buffer_.append(bytes, n);
      }
    }
    // False when the peer has gone.
    bool write(const std::string& bytes) {
      boost::system::error_code ec;
      if (tls_)
        boost::asio::write(*tls_, boost::asio::buffer(bytes), ec);
      else
        boost::asio::write(socket_, boost::asio::buffer(bytes), ec);
      return !ec;
    }
    void answer(const std::string& body, const std::string& status = "200 OK", const std::string& more = "") {
      write("HTTP/1.1 " + status + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + more + "\r\n" +
            body);
    }
    void begin_chunked(const std::string& type = "text/event-stream") {
      write("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nTransfer-Encoding: chunked\r\n\r\n");
    }
    bool chunk(const std::string& bytes) {
      char size[16];
      std::snprintf(size, sizeof size, "%zx\r\n", bytes.size());
      return write(size + bytes + "\r\n");
    }
    void end_chunked() { write("0\r\n\r\n"); }
    // Returns when the peer has closed, or false after 10 s.
    bool wait_closed() {
      pollfd p{socket_.native_handle(), POLLIN, 0};
      if (::poll(&p, 1, 10'000) != 1) return false;
      char byte;
      return ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK) <= 0 || tls_ != nullptr;
    }
    void close() {
      boost::system::error_code ec;
      socket_.shutdown(Socket::shutdown_both, ec);
    }

   private:
    friend class ScriptedServer;
    Socket socket_;
    std::unique_ptr<boost::asio::ssl::stream<Socket&>> tls_;
    std::string buffer_;

   public:
    const int number;  // of this connection, from 0
  };
  using Script = std::function<void(Conversation&)>;

  explicit ScriptedServer(Script script, std::optional<SelfSigned> identity = {})
      : script_(std::move(script)),
        acceptor_(context_, {boost::asio::ip::address_v4::loopback(), 0}),
        tls_(boost::asio::ssl::context::tls_server) {
    use_tls_ = identity.has_value();
    if (identity) {
      tls_.use_private_key(boost::asio::buffer(identity->key), boost::asio::ssl::context::pem);
      tls_.use_certificate(boost::asio::buffer(identity->certificate), boost::asio::ssl::context::pem);
    }
    thread_ = std::thread([this] { accept(); });
  }
  ~ScriptedServer() {
    stopping_ = true;
    ::shutdown(acceptor_.native_handle(), SHUT_RDWR);
    thread_.join();
    {
      const std::lock_guard lock(mutex_);
      for (auto& c : conversations_) ::shutdown(c.socket_.native_handle(), SHUT_RDWR);
    }
    for (auto& thread : threads_) thread.join();
  }

  std::string url(const std::string& path = "", const std::string& host = "127.0.0.1") const {
    return (use_tls_ ? "https://" : "http://") + host + ":" + std::to_string(acceptor_.local_endpoint().port()) + path;
  }
  int accepted() const { return accepted_; }

 private:
  void accept() {
    while (!stopping_) {
      Socket socket(context_);
      boost::system::error_code ec;
      acceptor_.accept(socket, ec);
      if (ec) return;
      Conversation* conversation;
      {
        const std::lock_guard lock(mutex_);
        conversation = &conversations_.emplace_back(std::move(socket), accepted_++);
      }
      threads_.emplace_back([this, conversation] {
        if (use_tls_) {
          conversation->tls_ = std::make_unique<boost::asio::ssl::stream<Socket&>>(conversation->socket_, tls_);
          boost::system::error_code handshake;
          conversation->tls_->handshake(boost::asio::ssl::stream_base::server, handshake);
          if (handshake) return conversation->close();
        }
        script_(*conversation);
        conversation->close();
      });
    }
  }

  Script script_;
  boost::asio::io_context context_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::ssl::context tls_;
  bool use_tls_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<int> accepted_{0};
  std::mutex mutex_;
  std::list<Conversation> conversations_;
  std::list<std::thread> threads_;
  std::thread thread_;
};

}  // namespace assay::test
