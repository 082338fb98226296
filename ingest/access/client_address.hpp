#pragma once
// Who is at the other end: the peer of the connection, or, where that is a proxy of ours, whom it names.
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/http/request.hpp"

namespace assay {

using IpAddress = boost::asio::ip::address;

// "10.0.0.0/8", "::1", "fd00::/8"; all kept as IPv6 (IPv4 mapped). None: no such network.
std::optional<boost::asio::ip::network_v6> parse_network(std::string_view text);

enum class ForwardedHeader { x_forwarded_for, forwarded };

struct TrustedProxies {
  std::vector<boost::asio::ip::network_v6> networks;
  // The one that the proxies write. The other may be the client's own invention and is not read.
  ForwardedHeader header = ForwardedHeader::x_forwarded_for;

  bool trusts(const IpAddress& address) const;
};

// Follows the header from its end, over every trusted proxy, to the first address that is not one. What can't be
// understood ends the walk: the last address that was understood stands.
IpAddress client_address(const IpAddress& peer, std::span<const HeaderField> headers, const TrustedProxies& proxies);

// What a quota is kept by: an IPv4 address, or the /64 of an IPv6 one, which is what one client has. 16 bytes.
std::array<char, 16> quota_identity(const IpAddress& address);

}  // namespace assay
