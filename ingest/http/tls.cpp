#include "ingest/http/tls.hpp"

#include <boost/asio/ssl/context.hpp>
#include <ctime>

namespace assay {
namespace {

namespace ssl = asio::ssl;

// HTTP/1.1 is all that is spoken here; a client that offers something else only is not refused for it.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  static constexpr unsigned char ours[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, size, ours, sizeof ours - 1, offered, offered_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<TlsContext, std::string> make_tls_context(const std::string& certificate_file, const std::string& key_file) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  boost::system::error_code ec;
  context->use_certificate_chain_file(certificate_file, ec);
  if (ec) return "the certificate " + certificate_file + " can't be used: " + ec.message();
  context->use_private_key_file(key_file, ssl::context::pem, ec);
  if (ec) return "the key " + key_file + " can't be used: " + ec.message();
  auto* native = context->native_handle();
  if (SSL_CTX_check_private_key(native) != 1) return key_file + " is not the key of " + certificate_file;
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  return context;
}

double end_of_certificate(const TlsContext& context) {
  std::tm end{};
  const auto* certificate = SSL_CTX_get0_certificate(context->native_handle());
  if (!certificate || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) != 1) return 0;
  return static_cast<double>(::timegm(&end));
}

}  // namespace assay
