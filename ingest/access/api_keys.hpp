#pragma once
// API keys of servers. A key is assay_<id>_<secret>: 48 random bits that it is found by, 256 that nobody guesses, so
// that a fast hash of it may stand on disk. The file of the keys:
//
//   {"v":1,"keys":[{"id","name","sha256" (hex, of the whole key),"scopes":[…],"created_at","rate"?,"burst"?}…]}
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/access/secret.hpp"
#include "ingest/access/token_buckets.hpp"
#include "ingest/http/scope.hpp"
#include "ops/runtime/clock.hpp"
#include "ops/runtime/result.hpp"

namespace assay {

struct ApiKey {
  std::string id, name;
  Digest hash{};
  ScopeSet scopes;
  Instant created_at;
  Rate rate;  // of this key alone; without one, what --quota-key says
};

// Immutable once read.
class ApiKeys {
 public:
  // What is wrong with the bytes, in a sentence.
  static Result<ApiKeys, std::string> parse(std::string json);
  std::string to_json() const;

  // Null: no such key. The whole key is compared by its hash, in constant time.
  const ApiKey* find(std::string_view key) const;

  const std::vector<ApiKey>& list() const { return keys_; }
  // The key's text, which is nowhere else; only its hash is kept.
  std::string create(std::string name, ScopeSet scopes, Rate rate, Instant now);
  // By id or by name (then all that have it); how many went.
  std::size_t revoke(std::string_view id_or_name);

 private:
  std::vector<ApiKey> keys_;
};

}  // namespace assay
