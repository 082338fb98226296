#include "storage/records/request_record.hpp"

namespace assay {

std::vector<Record> request_records(std::string_view trace_id, std::string_view client_request_id, Instant at) {
  std::vector<Record> out;
  for (const auto id : {trace_id, client_request_id})
    if (!id.empty())
      out.push_back(
          {.stream = Stream::requests, .key = std::string(id), .value = std::string(trace_id), .accepted_at = at});
  return out;
}

}  // namespace assay
