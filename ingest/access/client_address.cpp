#include "ingest/access/client_address.hpp"

#include <algorithm>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/address_v6.hpp>
#include <boost/beast/core/string.hpp>
#include <cstring>

#include "ops/runtime/parse_number.hpp"
#include "ops/runtime/trimmed.hpp"

namespace assay {
namespace {

namespace ip = boost::asio::ip;
using boost::beast::iequals;

ip::address_v6 as_v6(const IpAddress& address) {
  if (address.is_v6()) return address.to_v6();
  return ip::make_address_v6(ip::v4_mapped, address.to_v4());
}

std::optional<IpAddress> parse_address(std::string_view text) {
  boost::system::error_code ec;
  if (text.starts_with('[')) {  // "[::1]:80"
    const auto end = text.find(']');
    if (end == text.npos) return {};
    text = text.substr(1, end - 1);
  } else if (std::count(text.begin(), text.end(), ':') == 1) {  // "10.0.0.1:80"
    text = text.substr(0, text.find(':'));
  }
  if (text.empty() || text.size() > 64) return {};
  const auto address = ip::make_address(std::string(text), ec);
  if (ec) return {};
  if (address.is_v6() && address.to_v6().is_v4_mapped()) return ip::make_address_v4(ip::v4_mapped, address.to_v6());
  return address;
}

// The for= of one element of Forwarded (RFC 7239).
std::string_view for_of(std::string_view element) {
  while (!element.empty()) {
    const auto pair = trimmed(element.substr(0, element.find(';')));
    element.remove_prefix(
        std::min(element.size(), element.find(';') == element.npos ? element.size() : element.find(';') + 1));
    const auto equals = pair.find('=');
    if (equals == pair.npos || !iequals(trimmed(pair.substr(0, equals)), "for")) continue;
    auto value = trimmed(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

}  // namespace

std::optional<ip::network_v6> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  boost::system::error_code ec;
  const auto address = ip::make_address(std::string(text.substr(0, slash)), ec);
  if (ec) return {};
  unsigned length = address.is_v4() ? 32 : 128;
  if (slash != text.npos) {
    const auto given = parse_number<unsigned>(text.substr(slash + 1));
    if (!given || *given > length) return {};
    length = *given;
  }
  if (address.is_v4()) length += 96;
  return ip::make_network_v6(as_v6(address), static_cast<unsigned short>(length)).canonical();
}

bool TrustedProxies::trusts(const IpAddress& address) const {
  const auto v6 = as_v6(address);
  return std::any_of(networks.begin(), networks.end(), [&](const ip::network_v6& network) {
    return ip::make_network_v6(v6, network.prefix_length()).canonical() == network;
  });
}

IpAddress client_address(const IpAddress& peer, std::span<const HeaderField> headers, const TrustedProxies& proxies) {
  if (proxies.networks.empty() || !proxies.trusts(peer)) return peer;
  const bool standard = proxies.header == ForwardedHeader::forwarded;
  const std::string_view name = standard ? "Forwarded" : "X-Forwarded-For";
  auto address = peer;
  for (auto field = headers.rbegin(); field != headers.rend(); ++field) {
    if (!iequals(field->name, name)) continue;
    auto list = field->value;
    while (!list.empty()) {
      const auto comma = list.rfind(',');
      const auto element = trimmed(comma == list.npos ? list : list.substr(comma + 1));
      list = comma == list.npos ? std::string_view() : list.substr(0, comma);
      const auto next = parse_address(standard ? for_of(element) : element);
      if (!next) return address;
      address = *next;
      if (!proxies.trusts(address)) return address;
    }
  }
  return address;
}

std::array<char, 16> quota_identity(const IpAddress& address) {
  auto bytes = as_v6(address).to_bytes();
  if (address.is_v6() && !address.to_v6().is_v4_mapped()) std::fill(bytes.begin() + 8, bytes.end(), 0);
  std::array<char, 16> out;
  std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

}  // namespace assay
