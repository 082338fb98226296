// The query of a target: each key once, decoded, UTF-8.
#include "ingest/http/query.hpp"

#include <simdjson.h>

#include <memory>

#include "tests/fuzz/target.hpp"

namespace assay::fuzz {

void one(std::string_view bytes) {
  // On the heap and without a byte behind it: a read past the end is seen.
  const std::unique_ptr<char[]> exact(new char[bytes.size()]);
  bytes.copy(exact.get(), bytes.size());
  const auto query = Query::parse({exact.get(), bytes.size()});
  if (!query) {
    must(query.error().status == 400 && !query.error().reason.empty(), "a bad query is 400 with a reason");
    must(simdjson::validate_utf8(query.error().field), "and its field can be said");
    return;
  }
  for (const auto* key : {"trace_id", "client_request_id", "user_id", "feedback_token", ""})
    if (const auto value = query->get(key))
      must(simdjson::validate_utf8(value->data(), value->size()), "values are UTF-8");
}

}  // namespace assay::fuzz
