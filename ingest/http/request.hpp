#pragma once
// A request as a handler sees it: complete, within its limits, its framing and target checked.
//
// Every view is valid until the handler returns. Nothing in a request is trusted for more than its meaning: a header is
// bytes that the client chose.
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/beast/http/verb.hpp>
#include <optional>
#include <span>
#include <string_view>

#include "ingest/http/admission.hpp"
#include "ops/runtime/clock.hpp"

namespace assay {

struct Capability;
struct Charge;

namespace http = boost::beast::http;

struct HeaderField {
  std::string_view name, value;
};

struct Request {
  http::verb method = http::verb::unknown;  // HEAD comes as GET; its answer is cut by the session
  bool head = false;                        // it was HEAD: nothing may come of it
  std::string_view path;                    // as it was sent, without the query: percent signs are still there
  std::string_view query;                   // raw, without the question mark: see Query
  std::array<std::string_view, 2> params;   // what stood for {…} in the route's pattern, in order, decoded; not empty
  std::string_view body;                    // complete; at least SIMDJSON_PADDING readable bytes follow it
  std::span<const HeaderField> headers;     // in order; values without surrounding white space
  boost::asio::ip::address peer;            // the address that the connection comes from
  bool tls = false;
  Instant received_at;  // when its header was complete
  bool keep_alive = true, http_1_0 = false;
  const Capability* capability = nullptr;  // all that the caller may do, where it came with one
  bool shows_capability = false;           // the same where its route takes none: it is let in as anybody
  std::string_view key_id = {};            // of the API key that it came with; empty: without one
  bool joins_traces = true;                // whether it may name a trace that is not its own: see Gate::AccessDecision
  const Charge* charge = nullptr;          // the quota that it was charged to, where it costs more than one request
  Admission::Permit* permit = nullptr;     // its part of the door's budget, for who needs more than its body or longer

  // The first field with this name, whatever its case.
  std::optional<std::string_view> header(std::string_view name) const;
  // How many fields have this name: what must stand once is checked with it.
  std::size_t count(std::string_view name) const;
};

}  // namespace assay
