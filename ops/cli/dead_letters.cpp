#include <iostream>

#include "ops/cli/kafka_letters.hpp"
#include "ops/cli/local_owner.hpp"
#include "ops/cli/local_store.hpp"
#include "ops/cli/options.hpp"
#include "storage/records/dead_letter_record.hpp"

namespace assay::cli {
namespace {

constexpr std::size_t list_max = 10'000;

struct Listed {
  std::string record_id, json;
};

// Those of this reason; empty: all.
Result<std::vector<Listed>, std::string> dead_letters_of(const KeyValue& store, const std::string& reason) {
  std::vector<Listed> out;
  const auto scanned = store.scan(Family::dead, {}, {}, [&](std::string_view key, std::string_view value) {
    if (!reason.empty())
      if (const auto dead = parse_dead_letter(value); !dead || dead->reason != reason) return true;
    out.push_back({std::string(key), std::string(value)});
    return out.size() < list_max;
  });
  if (!scanned) return "the store can't be read: " + scanned.error().message();
  return out;
}

int list(const KeyValue& store, const std::string& reason, const std::string& output) {
  const auto letters = dead_letters_of(store, reason);
  if (!letters) return complain(letters.error());
  std::string json = "[";
  for (const auto& letter : *letters) {
    if (output == "json") {
      json += (json.size() > 1 ? "," : "") + letter.json;
      continue;
    }
    const auto dead = parse_dead_letter(letter.json);
    if (!dead)
      std::cout << letter.record_id << "  can't be read: " << dead.error().reason << "\n";
    else
      std::cout << dead->record_id << "  " << format_time(dead->dead_at) << "  " << dead->step << "  " << dead->reason
                << "  " << dead->detail << "\n";
  }
  if (output == "json")
    std::cout << json << "]\n";
  else
    std::cout << letters->size() << (letters->size() == 1 ? " dead letter\n" : " dead letters\n");
  return ok;
}

int show(const KeyValue& store, const std::string& record_id) {
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

template <class Owner>
int act(Owner& owner, const std::string& verb, const std::vector<std::string>& record_ids) {
  int code = ok;
  for (const auto& record_id : record_ids) {
    const auto answer = owner.answer(verb + " " + record_id);
    if (!answer.reached) return complain(answer.line);
    if (const auto told = tell(verb, record_id, answer); told != ok) code = told;
  }
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
  app.add_option("--reason", reason, "Of list, and with --all: only those of this reason, e.g. expired");
  KafkaOptions kafka;
  kafka.add_to(app, false);
  if (const auto parsed = parse(app, std::move(args)); !parsed.run) return parsed.code;
  const bool on_kafka = !kafka.config.brokers.empty();
  if (on_kafka)
    if (const auto problem = kafka.settle_for_tool()) return complain(*problem, usage);
  if (verb == "show" && record_ids.size() != 1) return complain("deadletters show takes one record_id", usage);
  if ((verb == "replay" || verb == "purge") && !all && record_ids.empty())
    return complain("deadletters " + verb + " takes record_ids, or --all", usage);
  if (all && !record_ids.empty()) return complain("record_ids and --all are both given: which is meant?", usage);
  if (verb == "list" && !record_ids.empty()) return complain("deadletters list takes no record_ids: see show", usage);

  std::unique_ptr<KafkaLetters> letters;
  std::unique_ptr<LocalStore> local;
  if (on_kafka) {
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
  if (all) {
    const auto found = dead_letters_of(store(), reason);
    if (!found) return complain(found.error());
    for (const auto& letter : *found) record_ids.push_back(letter.record_id);
    local.reset();
    if (record_ids.empty()) {
      std::cout << "no dead letter" << (reason.empty() ? "" : " of this reason") << ": nothing to " << verb << "\n";
      return ok;
    }
  }
  if (letters) return act(*letters, verb, record_ids);
  const auto owner = LocalOwner::open(data);
  return owner ? act(**owner, verb, record_ids) : complain(owner.error());
}

}  // namespace assay::cli
