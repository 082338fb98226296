#include "ops/cli/parked_list.hpp"

#include <iostream>

#include "ops/cli/options.hpp"
#include "storage/records/parked_record.hpp"
#include "storage/state/state_keys.hpp"

namespace assay::cli {
namespace {

constexpr std::size_t shown_max = 10'000;

void print(const ParkedRecord& parked) {
  std::cout << parked.item.record_id << "  " << name_of(parked.op) << "  since " << format_time(parked.accepted_at)
            << "  until " << format_time(parked.expires_at) << "  " << parked.target.field() << " " << parked.target.id
            << (parked.withdrawn ? "  taken back" : "") << "\n";
}

}  // namespace

int list_parked(const KeyValue& state, const std::string& output) {
  std::size_t shown = 0;
  bool more = false;
  std::string json = "[";
  const auto scanned = state.scan(Family::parked, {}, {}, [&](std::string_view key, std::string_view value) {
    const auto record_id = state::parked_id(key);
    if (!record_id) return true;
    more = shown == shown_max;
    if (more) return false;
    ++shown;
    if (output == "json")
      json.append(json.size() > 1 ? "," : "").append(value);
    else if (const auto parked = parse_parked_record(value))
      print(*parked);
    else
      std::cout << *record_id << "  can't be read: " << parked.error().reason << "\n";
    return true;
  });
  if (!scanned) return complain("the store can't be read: " + scanned.error().message());
  if (output == "json")
    std::cout << json << "]\n";
  else
    std::cout << shown << " parked\n";
  if (more) std::cerr << "assay: these are the first " << shown << ", there are more\n";
  return ok;
}

}  // namespace assay::cli
