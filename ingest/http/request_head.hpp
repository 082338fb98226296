#pragma once
// From bytes to the head of a request, and through the framing of its body. Stricter than Beast's parser, which reads
// it: whatever two readers could understand in two ways (bare line feeds, folded lines, two lengths, length and chunks,
// unknown codings) is refused, and its connection closed.
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "ingest/http/body_buffer.hpp"
#include "ingest/http/error_response.hpp"
#include "ingest/http/http_config.hpp"
#include "ingest/http/request.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

// Finds the end of a head while its bytes come in, and says no as soon as it can.
class HeadScanner {
 public:
  explicit HeadScanner(const HttpConfig& config) : config_(config) {}
  void reset() { position_ = line_ = lines_ = 0; }
  bool at_start() const { return position_ == 0; }
  // `bytes`: all of the request so far. The size of the head, blank line included; 0: not complete yet.
  Result<std::size_t, Rejection> scan(std::string_view bytes);

 private:
  const HttpConfig& config_;
  std::size_t position_ = 0, line_ = 0, lines_ = 0;
};

struct RequestHead {
  http::verb method = http::verb::unknown;
  std::string_view path, query;
  std::vector<HeaderField> fields;
  std::uint64_t content_length = 0;
  bool chunked = false, keep_alive = true, expects_continue = false, http_1_0 = false;
};

// One a request. Views in the head point into the bytes that were parsed.
class RequestParser final : http::basic_parser<true> {
 public:
  explicit RequestParser(RequestHead& head);

  // `bytes`: a complete head, as HeadScanner found it.
  Result<void, Rejection> parse_head(std::string_view bytes);

  // Chunked bodies: takes what it can of `bytes` into `body` and says how much that was.
  Result<std::size_t, Rejection> parse_chunks(std::string_view bytes, BodyBuffer& body, std::size_t body_bytes_max);
  bool body_complete() const { return is_done(); }

 private:
  using sv = boost::beast::string_view;
  void on_request_impl(http::verb method, sv method_text, sv target, int version, error_code& ec) override;
  void on_response_impl(int, sv, int, error_code&) override {}
  void on_field_impl(http::field name, sv name_text, sv value, error_code& ec) override;
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(sv, error_code&) override { return 0; }  // bodies with a length never come here
  void on_chunk_header_impl(std::uint64_t size, sv extensions, error_code& ec) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, sv bytes, error_code& ec) override;
  void on_finish_impl(error_code&) override {}

  bool take_target(std::string_view target);
  void refuse(std::string_view field, std::string_view reason, error_code& ec);

  RequestHead& head_;
  Rejection rejection_;
  bool in_body_ = false;
  int hosts_ = 0, lengths_ = 0, codings_ = 0, authorizations_ = 0, origins_ = 0;
  BodyBuffer* body_ = nullptr;
  std::size_t body_bytes_max_ = 0;
};

}  // namespace assay
