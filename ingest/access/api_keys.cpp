#include "ingest/access/api_keys.hpp"

#include <boost/json.hpp>

#include "ops/runtime/hex.hpp"
#include "storage/records/json_writer.hpp"

namespace assay {
namespace {

namespace json = boost::json;

constexpr std::string_view prefix = "assay_";
constexpr std::size_t id_hex = 12;

int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

bool from_hex(std::string_view text, Digest& out) {
  if (text.size() != out.size() * 2) return false;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    out[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

ApiKey key_of(const json::object& entry) {
  const auto text = [&](const char* name) { return std::string(entry.at(name).as_string()); };
  ApiKey key{.id = text("id"), .name = text("name")};
  if (!from_hex(text("sha256"), key.hash)) throw std::runtime_error("the hash of " + key.id + " is not SHA-256 in hex");
  for (const auto& name : entry.at("scopes").as_array()) {
    const auto scope = scope_named(std::string_view(name.as_string()));
    if (!scope) throw std::runtime_error("key " + key.id + " has an unknown scope " + std::string(name.as_string()));
    key.scopes.add(*scope);
  }
  const auto created = parse_time(text("created_at"));
  if (!created) throw std::runtime_error("created_at of " + key.id + " is not a time");
  key.created_at = *created;
  if (const auto* rate = entry.if_contains("rate")) key.rate.per_second = rate->to_number<double>();
  if (const auto* burst = entry.if_contains("burst")) key.rate.burst = burst->to_number<double>();
  return key;
}

}  // namespace

Result<ApiKeys, std::string> ApiKeys::parse(std::string text) {
  try {
    const auto file = json::parse(text).as_object();
    if (file.at("v").as_int64() != 1) return std::string("it is of a newer version");
    ApiKeys keys;
    for (const auto& entry : file.at("keys").as_array()) keys.keys_.push_back(key_of(entry.as_object()));
    return keys;
  } catch (const std::exception& e) {
    return std::string(e.what());
  }
}

std::string ApiKeys::to_json() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("v", 1).key("keys").begin_array();
  for (const auto& key : keys_) {
    out += '\n';
    json.begin_object().field("id", key.id).field("name", key.name).field("sha256", to_hex(view_of(key.hash)));
    json.key("scopes").begin_array();
    for (const auto& [scope, name] : scope_names)
      if (key.scopes.has(scope)) json.value(name);
    json.end_array().field("created_at", format_time(key.created_at));
    if (key.rate.limited()) json.field("rate", key.rate.per_second).field("burst", key.rate.burst);
    json.end_object();
  }
  json.end_array().end_object();
  return out += '\n';
}

const ApiKey* ApiKeys::find(std::string_view key) const {
  if (!key.starts_with(prefix) || key.size() < prefix.size() + id_hex + 1) return nullptr;
  const auto id = key.substr(prefix.size(), id_hex);
  for (const auto& known : keys_)
    if (known.id == id) {
      const auto hash = sha256(key);
      return equal_secrets(view_of(hash), view_of(known.hash)) ? &known : nullptr;
    }
  return nullptr;
}

std::string ApiKeys::create(std::string name, ScopeSet scopes, Rate rate, Instant now) {
  ApiKey key{.id = to_hex(random_secret(id_hex / 2)),
             .name = std::move(name),
             .scopes = scopes,
             .created_at = now,
             .rate = rate};
  std::string text(prefix);
  text.append(key.id).append("_");
  append_base64url(text, random_secret());
  key.hash = sha256(text);
  keys_.push_back(std::move(key));
  return text;
}

std::size_t ApiKeys::revoke(std::string_view id_or_name) {
  return std::erase_if(keys_, [&](const ApiKey& key) { return key.id == id_or_name || key.name == id_or_name; });
}

}  // namespace assay
