#include "ops/cli/forgetting.hpp"
#include "ops/cli/local_owner.hpp"
#include "ops/cli/local_store.hpp"
#include "storage/state/partition_state.hpp"

namespace assay::cli {
namespace {

class LocalForgetting final : public Forgetting {
 public:
  LocalForgetting(std::string data, std::chrono::milliseconds log_retention)
      : data_(std::move(data)), log_retention_(log_retention) {}

  Result<SaidBy, Problem> find(const std::string& user, UsersIds& ids) override {
    auto local = LocalStore::open(data_, {"serve"});
    if (!local) return local.error();
    const auto unreadable = [](error_code why) { return "the store can't be read: " + why.message(); };
    auto& log = (*local)->log();
    ResolvedTo resolved;
    for (Partition p = 0; p < log.partitions(Stream::feedback); ++p) {
      const auto meta = load_meta((*local)->db(), p);
      if (!meta) return unreadable(meta.error());
      resolved[p] = meta->feedback;
    }
    auto in_flight = find_in_flight(log, resolved, user, ids);
    if (!in_flight) return unreadable(in_flight.error());
    auto said = find_said_by((*local)->db(), user, ids);
    if (!said) return unreadable(said.error());
    said->in_flight = std::move(*in_flight);
    said->keep(ids.assessments);
    return std::move(*said);
  }

  std::string act(const std::vector<std::string>& lines) override {
    const auto owner = LocalOwner::open(data_);
    if (!owner) return owner.error().text;
    for (const auto& line : lines) {
      const auto answer = (*owner)->answer(line);
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
