#include <algorithm>
#include <iostream>
#include <span>

#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/kafka_letters.hpp"
#include "ops/cli/local_owner.hpp"
#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"
#include "ops/cli/parked_list.hpp"
#include "storage/records/dead_letter_record.hpp"
#include "storage/records/utf8.hpp"

namespace assay::cli {
namespace {

constexpr std::size_t round_max = 10'000;
const std::vector<std::string> reasons{std::string(dead_reason::expired), std::string(dead_reason::malformed),
                                       std::string(dead_reason::idempotency_conflict),
                                       std::string(dead_reason::refused)};

struct Listed {
  std::string record_id, json;
};
struct Round {
  std::vector<Listed> letters;
  std::string next;  // where the others begin; empty: there are none
};

// Those of this reason (empty: all), from this key on, as many as are held in memory at once.
Result<Round, std::string> round_of(const KeyValue& store, const std::string& reason, const std::string& from = {}) {
  Round out;
  const auto scanned = store.scan(Family::dead, from, {}, [&](std::string_view key, std::string_view value) {
    if (!reason.empty())
      if (const auto dead = parse_dead_letter(value); !dead || dead->reason != reason) return true;
    if (out.letters.size() == round_max) {
      out.next = key;
      return false;
    }
    out.letters.push_back({std::string(key), std::string(value)});
    return true;
  });
  if (!scanned) return "the store can't be read: " + scanned.error().message();
  return out;
}

// The detail in a table: a line, and not a long one. `show` has it whole.
std::string in_short(std::string_view detail) {
  std::string out(utf8_prefix(detail, 200));
  if (out.size() < detail.size()) out += "…";
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

int list(const KeyValue& store, const std::string& reason, const std::string& output) {
  const auto round = round_of(store, reason);
  if (!round) return complain(round.error());
  const auto& letters = round->letters;
  std::string json = "[";
  for (const auto& letter : letters) {
    if (output == "json") {
      json += (json.size() > 1 ? "," : "") + letter.json;
      continue;
    }
    const auto dead = parse_dead_letter(letter.json);
    if (!dead)
      std::cout << letter.record_id << "  can't be read: " << dead.error().reason << "\n";
    else
      std::cout << dead->record_id << "  " << format_time(dead->dead_at) << "  " << dead->step << "  " << dead->reason
                << "  " << in_short(dead->detail) << "\n";
  }
  if (output == "json")
    std::cout << json << "]\n";
  else
    std::cout << letters.size() << (letters.size() == 1 ? " dead letter\n" : " dead letters\n");
  if (!round->next.empty()) std::cerr << "assay: these are the first " << letters.size() << ", there are more\n";
  return ok;
}

int show(const KeyValue& store, const std::string& id) {
  const auto meant = letter_meant_by(store, id);
  if (!meant) return complain("the store can't be read: " + meant.error().message());
  const auto& record_id = *meant;
  const auto value = store.get(Family::dead, record_id);
  if (!value) return complain("the store can't be read: " + value.error().message());
  if (!*value) return complain("there is no dead letter " + record_id);
  std::cout << **value << "\n";
  return ok;
}

int tell(const std::string& verb, const std::string& record_id, const OwnerAnswer& answer) {
  constexpr std::string_view error = "error ";
  if (answer.reached && answer.line == "ok") {
    std::cout << record_id << ": " << verb << " accepted\n";
    return ok;
  }
  const auto why = answer.line.starts_with(error) ? answer.line.substr(error.size()) : answer.line;
  return complain(why.ends_with(record_id) ? why : record_id + ": " + why);
}

// False: the owner was not reached, and what is wrong has been said.
template <class Owner>
bool act(Owner& owner, const std::string& verb, const std::string& record_id, int& code) {
  const auto answer = owner.answer(verb + " " + record_id);
  if (!answer.reached) {
    code = complain(answer.line);
    return false;
  }
  if (const auto told = tell(verb, record_id, answer); told != ok) code = told;
  return true;
}

// As many of the first as one line names, and how many that are.
std::pair<std::string, std::size_t> line_of(const std::string& verb, std::span<const std::string> record_ids) {
  const auto named_apart = [](unsigned char c) { return c >= 0x20; };
  std::string line = verb + "-these ";
  std::size_t count = 0;
  for (const auto& id : record_ids) {
    if (line.size() + id.size() + 2 > control_line_bytes_max || !std::ranges::all_of(id, named_apart)) break;
    if (count++ > 0) line += between_ids;
    line += id;
  }
  return {std::move(line), std::max<std::size_t>(count, 1)};
}

// False as above.
template <class Owner>
bool act_on(Owner& owner, const std::string& verb, std::span<const std::string> record_ids, int& code) {
  while (!record_ids.empty()) {
    const auto [line, count] = line_of(verb, record_ids);
    const auto these = record_ids.first(count);
    record_ids = record_ids.subspan(count);
    // One of them can't be, or the owner is of before there were such lines: each by itself.
    const bool done = count > 1 && owner.answer(line).line == "ok";
    for (const auto& record_id : these)
      if (done)
        tell(verb, record_id, {true, "ok"});
      else if (!act(owner, verb, record_id, code))
        return false;
  }
  return true;
}

template <class Owner>
int act(Owner& owner, const std::string& verb, const std::vector<std::string>& record_ids) {
  int code = ok;
  act_on(owner, verb, record_ids, code);
  return code;
}

bool was_taken_back(const Listed& letter) {
  const auto dead = parse_dead_letter(letter.json);
  return dead && dead->taken_back();
}

template <class Owner>
int act_on_all(Owner& owner, const std::string& verb, const KeyValue& store, const std::string& reason) {
  int code = ok;
  std::size_t count = 0, taken_back = 0;
  for (std::string from;;) {
    const auto round = round_of(store, reason, from);
    if (!round) return complain(round.error());
    std::vector<std::string> record_ids;
    for (const auto& letter : round->letters)
      if (verb == "replay" && was_taken_back(letter))
        ++taken_back;
      else
        record_ids.push_back(letter.record_id);
    if (!act_on(owner, verb, record_ids, code)) return code;
    count += round->letters.size();
    if (round->next.empty()) break;
    from = round->next;
  }
  if (taken_back > 0) std::cout << taken_back << " passed over: taken back, nothing is left to replay\n";
  if (count == 0)
    std::cout << "no dead letter" << (reason.empty() ? "" : " of this reason") << ": nothing to " << verb << "\n";
  return code;
}

}  // namespace

int dead_letters(std::vector<std::string> args) {
  CLI::App app("What could not be committed, why, and once more", "assay deadletters");
  std::string verb, data = "assay-data", output = "text";
  std::vector<std::string> record_ids;
  app.add_option("verb", verb, "list, show, replay or purge")
      ->required()
      ->check(CLI::IsMember({"list", "show", "replay", "purge"}))
      ->configurable(false);
  app.add_option("record_ids", record_ids, "For show, replay and purge: which ones; replay and purge also take --all")
      ->configurable(false);
  app.add_option("--data", data, "The data directory of `assay serve`, which may be running")->capture_default_str();
  app.add_option("--output", output, "Of list: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  bool all = false;
  app.add_flag("--all", all, "Replay or purge every dead letter");
  std::string reason;
  app.add_option("--reason", reason, "Of list, and with --all: only those of this reason")
      ->check(CLI::IsMember(reasons));
  bool parked = false;
  app.add_flag("--parked", parked,
               "Of list: what waits for its trace, of `assay serve` or of a front door with --view, instead");
  KafkaOptions kafka;
  kafka.add_to(app, false);
  // What the command line says goes before what the environment, or a file, says of the other place.
  const bool to_kafka = says(args, "--kafka"), both = to_kafka && says(args, "--data");
  const bool to_data = says(args, "--data") || says(args, "--parked");
  const auto on_kafka = [&] { return !kafka.config.brokers.empty() && (to_kafka || !to_data); };
  const auto settle = [&]() -> std::optional<std::string> {
    if (both) return "--kafka and --data are both given: which is meant?";
    if (verb == "show" && record_ids.size() != 1) return "deadletters show takes one record_id";
    if ((verb == "replay" || verb == "purge") && !all && record_ids.empty())
      return "deadletters " + verb + " takes record_ids, or --all";
    if (all && !record_ids.empty()) return "record_ids and --all are both given: which is meant?";
    if (verb == "list" && !record_ids.empty()) return "deadletters list takes no record_ids: see show";
    if (all && (verb == "list" || verb == "show")) return "--all is of replay and purge";
    if (!reason.empty() && !all && verb != "list")
      return "--reason is of list, and of replay and purge with --all: record_ids say which ones by themselves";
    return on_kafka() ? kafka.settle_for_tool() : std::nullopt;
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;

  if (parked) {
    if (verb != "list" || on_kafka() || !reason.empty())
      return complain("--parked is of list, with --data alone: serve's, or that of a front door with --view", usage);
    const auto opened = LocalStore::open(data, {"serve", "ingest"});
    if (!opened) return complain(opened.error());
    const auto kept = (*opened)->keeps_store();
    if (!kept) return complain(kept.error());
    if (!*kept) return complain(data + ": this door does not know what is parked: one with --view does");
    return list_parked((*opened)->db(), output);
  }

  std::unique_ptr<KafkaLetters> letters;
  std::unique_ptr<LocalStore> local;
  if (on_kafka()) {
    auto opened = KafkaLetters::open(kafka);
    if (!opened) return complain(opened.error());
    letters = std::move(*opened);
  } else if (verb == "list" || verb == "show" || all) {
    auto opened = LocalStore::open(data, {"serve"});
    if (!opened) return complain(opened.error());
    local = std::move(*opened);
  }
  const auto store = [&]() -> const KeyValue& { return letters ? letters->store() : local->db(); };
  if (verb == "list") return list(store(), reason, output);
  if (verb == "show") return show(store(), record_ids.front());
  const auto act_with = [&](auto& owner) {
    return all ? act_on_all(owner, verb, store(), reason) : act(owner, verb, record_ids);
  };
  if (letters) return act_with(*letters);
  const auto owner = LocalOwner::open(data);
  if (!owner) return complain(owner.error());
  const auto code = act_with(**owner);
  if (code == ok && (*owner)->is_this())
    std::cerr << "assay: no serve runs on " << data << ": this takes effect when one starts, and list tells it then\n";
  return code;
}

}  // namespace assay::cli
