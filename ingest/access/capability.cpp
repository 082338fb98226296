#include "ingest/access/capability.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "ops/runtime/hex.hpp"
#include "ops/runtime/ids.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

constexpr char version = 1;
constexpr std::size_t mac_bytes = 32, half_id = 16;

void put_number(std::string& out, std::uint64_t n, int bytes) {
  for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(n >> shift);
}

void put_text(std::string& out, std::string_view text) {
  out += static_cast<char>(text.size());
  out += text;
}

// Reads what put_… wrote; `ok` turns false where the bytes end too early.
struct Reader {
  std::string_view bytes;
  bool ok = true;

  std::string_view take(std::size_t n) {
    if (n > bytes.size()) ok = false;
    if (!ok) return {};
    const auto taken = bytes.substr(0, n);
    bytes.remove_prefix(n);
    return taken;
  }
  std::uint64_t number(std::size_t n) {
    std::uint64_t value = 0;
    for (const auto c : take(n)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view text() { return take(static_cast<std::size_t>(number(1))); }
};

std::string base64url(std::string_view bytes) {
  std::string out;
  append_base64url(out, bytes);
  return out;
}

std::string secret_of(const boost::json::value& text) {
  auto secret = base64url_decoded(std::string_view(text.as_string()));
  if (!secret || secret->size() < 32) throw std::runtime_error("a secret is not base64url of 32 bytes");
  return std::move(*secret);
}

}  // namespace

bool Capability::allows(std::string_view name) const {
  return std::any_of(names.begin(), names.end(), [&](std::string_view allowed) {
    if (!allowed.ends_with('*')) return allowed == name;
    return name.starts_with(allowed.substr(0, allowed.size() - 1));
  });
}

CapabilityKeys CapabilityKeys::create(Instant now) {
  CapabilityKeys keys;
  keys.binding_ = random_secret();
  keys.binding_hmac_ = std::make_shared<Hmac>(keys.binding_);
  keys.rotate(0, now);
  return keys;
}

void CapabilityKeys::rotate(std::size_t keep, Instant now) {
  Key key{.number = keys_.empty() ? 1 : keys_.back().number + 1, .secret = random_secret(), .created_at = now};
  key.hmac = std::make_shared<Hmac>(key.secret);
  if (keys_.size() > keep) keys_.erase(keys_.begin(), keys_.end() - static_cast<std::ptrdiff_t>(keep));
  keys_.push_back(std::move(key));
}

Result<CapabilityKeys, std::string> CapabilityKeys::parse(const std::string& text) {
  try {
    const auto file = boost::json::parse(text).as_object();
    if (file.at("v").as_int64() != 1) return std::string("it is of a newer version");
    CapabilityKeys keys;
    keys.binding_ = secret_of(file.at("binding"));
    keys.binding_hmac_ = std::make_shared<Hmac>(keys.binding_);
    for (const auto& entry : file.at("keys").as_array()) {
      const auto created = parse_time(std::string_view(entry.at("created_at").as_string()));
      if (!created) return std::string("created_at of a key is not a time");
      Key key{.number = entry.at("number").to_number<std::uint32_t>(),
              .secret = secret_of(entry.at("secret")),
              .created_at = *created};
      if (!keys.keys_.empty() && keys.newest() >= key.number) return std::string("its keys are not oldest first");
      key.hmac = std::make_shared<Hmac>(key.secret);
      keys.keys_.push_back(std::move(key));
    }
    if (keys.keys_.empty()) return std::string("it has no key");
    return keys;
  } catch (const std::exception& e) {
    return std::string(e.what());
  }
}

std::string CapabilityKeys::to_json() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("v", 1).field("binding", base64url(binding_)).key("keys").begin_array();
  for (const auto& key : keys_) {
    json.begin_object().field("number", key.number).field("secret", base64url(key.secret));
    json.field("created_at", format_time(key.created_at)).end_object();
  }
  json.end_array().end_object();
  return out += '\n';
}

std::string CapabilityKeys::mint(const Capability& capability) const {
  const auto& key = keys_.back();
  std::string bytes;
  bytes.reserve(256);
  bytes += version;
  put_number(bytes, key.number, 4);
  const auto expiry = std::chrono::floor<std::chrono::seconds>(capability.expires_at).time_since_epoch().count();
  put_number(bytes, static_cast<std::uint64_t>(expiry), 8);
  put_text(bytes, capability.trace_id);
  put_text(bytes, capability.client_request_id);
  put_text(bytes, capability.user);
  bytes += static_cast<char>(capability.names.size());
  for (const auto& name : capability.names) put_text(bytes, name);
  const auto mac = key.hmac->of(bytes);
  bytes += view_of(mac);
  std::string token(capability_prefix);
  append_base64url(token, bytes);
  return token;
}

Result<Capability, std::string_view> CapabilityKeys::check(std::string_view token, Instant now) const {
  constexpr std::string_view malformed = "it is not a feedback capability";
  if (!token.starts_with(capability_prefix) || token.size() > capability_bytes_max) return malformed;
  const auto bytes = base64url_decoded(token.substr(capability_prefix.size()));
  if (!bytes || bytes->size() < mac_bytes + 1) return malformed;
  const std::string_view said = std::string_view(*bytes).substr(0, bytes->size() - mac_bytes);
  Reader reader{said};
  if (reader.number(1) != version) return malformed;
  const auto number = reader.number(4);
  const auto key = std::find_if(keys_.begin(), keys_.end(), [&](const Key& k) { return k.number == number; });
  if (key == keys_.end()) return std::string_view("it was signed with a key that is no longer known");
  const auto mac = key->hmac->of(said);
  if (!equal_secrets(view_of(mac), std::string_view(*bytes).substr(said.size())))
    return std::string_view("its signature is wrong");

  Capability capability;
  const auto expiry = static_cast<std::int64_t>(reader.number(8));
  capability.trace_id = reader.text();
  capability.client_request_id = reader.text();
  capability.user = reader.text();
  const auto names = reader.number(1);
  for (std::uint64_t i = 0; i < names && reader.ok; ++i) capability.names.emplace_back(reader.text());
  if (!reader.ok || !reader.bytes.empty()) return malformed;
  if (expiry <= std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count())
    return std::string_view("it has expired");
  capability.expires_at = Instant(std::chrono::seconds(expiry));
  return capability;
}

std::string CapabilityKeys::mark(const Capability& capability, std::string_view first_half) const {
  std::string said;
  put_text(said, capability.trace_id.empty() ? capability.client_request_id : capability.trace_id);
  put_text(said, capability.user);
  said += first_half;
  const auto mac = binding_hmac_->of(said);
  return to_hex(view_of(mac).substr(0, half_id / 2));
}

std::string CapabilityKeys::own_id(const Capability& capability, std::string_view id) const {
  const std::string first(id.substr(0, half_id));
  return first + mark(capability, first);
}

bool CapabilityKeys::owns(const Capability& capability, std::string_view assessment_id) const {
  if (!assessment_id.starts_with(assessment_prefix)) return false;
  const auto id = assessment_id.substr(assessment_prefix.size());
  if (id.size() != 2 * half_id) return false;
  return equal_secrets(mark(capability, id.substr(0, half_id)), id.substr(half_id));
}

}  // namespace assay
