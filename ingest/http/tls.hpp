#pragma once
// The certificate that the door shows.
#include <mutex>
#include <string>

#include "ingest/http/wire.hpp"

namespace assay {

// TLS 1.2 or later, with the chain and the key of these files (PEM). What is wrong, in a sentence.
Result<TlsContext, std::string> make_tls_context(const std::string& certificate_file, const std::string& key_file);

// When the certificate that it shows ends: seconds since 1970.
double end_of_certificate(const TlsContext& context);

// The one for connections that come now. Thread-safe.
class TlsSlot {
 public:
  TlsContext get() const {
    std::scoped_lock lock(mutex_);
    return context_;
  }
  void put(TlsContext context) {
    std::scoped_lock lock(mutex_);
    context_ = std::move(context);
  }

 private:
  mutable std::mutex mutex_;
  TlsContext context_;
};

}  // namespace assay
