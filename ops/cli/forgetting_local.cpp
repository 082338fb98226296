#include "ops/cli/control.hpp"
#include "ops/cli/dead_letter_acts.hpp"
#include "ops/cli/forget_acts.hpp"
#include "ops/cli/forgetting.hpp"
#include "ops/cli/local_store.hpp"
#include "storage/db/data_directory.hpp"
#include "storage/state/partition_state.hpp"

namespace assay::cli {
namespace {

class LocalForgetting final : public Forgetting {
 public:
  LocalForgetting(std::string data, std::chrono::milliseconds log_retention)
      : data_(std::move(data)), log_retention_(log_retention) {}

  Result<SaidBy, std::string> find(const std::string& user) override {
    auto local = LocalStore::open(data_);
    if (!local) return local.error();
    const auto unreadable = [](error_code why) { return "the store can't be read: " + why.message(); };
    auto& log = (*local)->log();
    ResolvedTo resolved;
    for (Partition p = 0; p < log.partitions(Stream::feedback); ++p) {
      const auto meta = load_meta((*local)->db(), p);
      if (!meta) return unreadable(meta.error());
      resolved[p] = meta->feedback;
    }
    auto said = find_said_by((*local)->db(), user);
    if (!said) return unreadable(said.error());
    auto in_flight = find_in_flight(log, resolved, user);
    if (!in_flight) return unreadable(in_flight.error());
    said->in_flight = std::move(*in_flight);
    return std::move(*said);
  }

  // By the process that owns the data, or, where none runs, by this one.
  std::string act(const std::vector<std::string>& lines) override {
    auto directory = DataDirectory::open(data_);
    std::unique_ptr<Db> db;
    std::unique_ptr<EmbeddedLog> log;
    Metrics metrics;
    IoContext io(1);
    if (directory) {
      auto opened = Db::open({.directory = directory->database()});
      if (!opened) return opened.error();
      db = std::move(*opened);
      auto embedded = EmbeddedLog::open(*db, directory->path(), {}, metrics);
      if (!embedded) return embedded.error();
      log = std::move(*embedded);
    }
    for (const auto& line : lines) {
      const auto answer = !log                      ? ask_owner(data_, line)
                          : ForgetActs::knows(line) ? OwnerAnswer{true, ForgetActs(*log, io).answer(line)}
                                                    : OwnerAnswer{true, DeadLetterActs(*db, *log, io).answer(line)};
      if (!answer.reached || answer.line != "ok") return answer.line;
    }
    return {};
  }

  std::string log_drops() override { return format_time(SystemClock().now() + log_retention_); }

 private:
  const std::string data_;
  const std::chrono::milliseconds log_retention_;
};

}  // namespace

std::unique_ptr<Forgetting> forgetting_in(const std::string& data, std::chrono::milliseconds log_retention) {
  return std::make_unique<LocalForgetting>(data, log_retention);
}

}  // namespace assay::cli
