#include "storage/store/catalog.hpp"

#include "storage/state/scan_checked.hpp"

namespace assay {
namespace {

std::string key_of(char kind, std::string_view id) { return kind + std::string(id); }
std::string prefix_of(char kind, std::string_view dataset_id) { return key_of(kind, dataset_id) + '\0'; }
std::string created(std::int64_t time) {
  return big_endian(static_cast<std::uint64_t>(std::max<std::int64_t>(0, time)));
}

template <class T>
Result<std::optional<T>> read(const Result<std::optional<std::string>>& value) {
  if (!value) return value.error();
  if (!*value) return std::optional<T>();
  auto parsed = parse_catalog_record(**value);
  if (!parsed || !std::holds_alternative<T>(*parsed)) return make_error_code(Error::corrupt);
  return std::optional<T>(std::get<T>(std::move(*parsed)));
}

template <class T>
Result<std::vector<T>> read_all(const KeyValue& kv, char kind) {
  std::vector<T> out;
  const std::string prefix(1, kind);
  const auto visit = [&](std::string_view, std::string_view value) -> Result<bool> {
    auto parsed = parse_catalog_record(value);
    if (!parsed || !std::holds_alternative<T>(*parsed)) return corrupt();
    out.push_back(std::get<T>(std::move(*parsed)));
    return true;
  };
  const auto scanned = scan_checked(kv, Family::catalog, prefix, after_prefix(prefix), visit);
  if (!scanned) return scanned.error();
  return out;
}

Experiment default_experiment() {
  return {.experiment_id = std::string(default_experiment_id),
          .name = std::string(default_experiment_name),
          .artifact_location = "mlflow-artifacts:/0"};
}

bool holds_nul(std::string_view text) { return text.find('\0') != text.npos; }

}  // namespace

bool is_dataset_record(std::string_view key) { return key.starts_with('r'); }

Result<std::optional<Experiment>> Catalog::experiment(std::string_view experiment_id) const {
  auto found = read<Experiment>(kv_.get(Family::catalog, key_of('e', experiment_id)));
  if (found && !*found && experiment_id == default_experiment_id) return std::optional(default_experiment());
  return found;
}

Result<std::optional<Experiment>> Catalog::experiment_named(std::string_view name) const {
  const auto id = kv_.get(Family::catalog, key_of('n', name));
  if (!id) return id.error();
  if (*id) return experiment(**id);
  const auto fallback = experiment(default_experiment_id);
  if (fallback && *fallback && (*fallback)->name == name) return fallback;
  return std::optional<Experiment>();
}

Result<std::vector<Experiment>> Catalog::experiments() const {
  auto all = read_all<Experiment>(kv_, 'e');
  if (all && std::none_of(all->begin(), all->end(),
                          [](const Experiment& e) { return e.experiment_id == default_experiment_id; }))
    all->push_back(default_experiment());
  return all;
}

Result<std::optional<Dataset>> Catalog::dataset(std::string_view dataset_id) const {
  return read<Dataset>(kv_.get(Family::catalog, key_of('d', dataset_id)));
}

Result<std::vector<Dataset>> Catalog::datasets() const { return read_all<Dataset>(kv_, 'd'); }

Result<void> Catalog::records(std::string_view dataset_id, const RecordPlace& after,
                              const std::function<bool(DatasetRecord)>& visit) const {
  const auto prefix = prefix_of('r', dataset_id);
  auto from = prefix;
  if (after.created_time >= 0) from += created(after.created_time) + after.record_id + '\0';
  const auto visit_value = [&](std::string_view, std::string_view value) -> Result<bool> {
    auto parsed = parse_catalog_record(value);
    if (!parsed || !std::holds_alternative<DatasetRecord>(*parsed)) return corrupt();
    return visit(std::get<DatasetRecord>(std::move(*parsed)));
  };
  return scan_checked(kv_, Family::catalog, from, after_prefix(prefix), visit_value);
}

Result<std::size_t> Catalog::count_records(std::string_view dataset_id, std::string& after, std::size_t most) const {
  const auto prefix = prefix_of('i', dataset_id);
  auto from = prefix;
  if (!after.empty()) from += after + '\0';
  std::size_t count = 0;
  const auto scanned =
      kv_.scan(Family::catalog, from, after_prefix(prefix), [&](std::string_view key, std::string_view) {
        after = key.substr(prefix.size());
        return ++count < most;
      });
  if (!scanned) return scanned.error();
  return count;
}

Result<std::optional<DatasetRecord>> Catalog::record(std::string_view dataset_id, std::string_view record_id) const {
  const auto at = kv_.get(Family::catalog, prefix_of('i', dataset_id) + std::string(record_id));
  if (!at) return at.error();
  if (!*at) return std::optional<DatasetRecord>();
  return read<DatasetRecord>(kv_.get(Family::catalog, prefix_of('r', dataset_id) + **at + std::string(record_id)));
}

Result<std::optional<DatasetRecord>> Catalog::record_of_inputs(std::string_view dataset_id,
                                                               std::string_view input_hash) const {
  const auto at = kv_.get(Family::catalog, prefix_of('h', dataset_id) + std::string(input_hash));
  if (!at) return at.error();
  if (!*at) return std::optional<DatasetRecord>();
  return read<DatasetRecord>(kv_.get(Family::catalog, prefix_of('r', dataset_id) + **at));
}

Result<std::optional<std::string>> CatalogBatch::get(const std::string& key) const {
  if (const auto at = written_.find(key); at != written_.end()) return at->second;
  return kv_.get(Family::catalog, key);
}

Result<Result<void, Malformed>> CatalogBatch::apply(std::string_view key, std::string_view value, bool tombstone) {
  using Inner = Result<void, Malformed>;
  const auto names = parse_catalog_key(key);
  if (!names || holds_nul(key)) return Inner(Malformed{"its key is none of the catalog's"});
  if (tombstone) {
    if (names->kind == CatalogKey::Kind::experiment) return Inner(Malformed{"an experiment is never forgotten"});
    const auto erased =
        names->kind == CatalogKey::Kind::dataset ? erase_dataset(names->id) : erase_record(names->id, names->record_id);
    if (!erased) return erased.error();
    return Inner();
  }
  const auto parsed = parse_catalog_record(value);
  if (!parsed) return Inner(parsed.error());
  const Malformed misplaced{"its key and its value name different things"};
  if (const auto* experiment = std::get_if<Experiment>(&*parsed)) {
    if (names->kind != CatalogKey::Kind::experiment || experiment->experiment_id != names->id) return Inner(misplaced);
    return apply(*experiment, value);
  }
  if (const auto* record = std::get_if<DatasetRecord>(&*parsed)) {
    if (names->kind != CatalogKey::Kind::dataset_record || record->dataset_id != names->id ||
        record->dataset_record_id != names->record_id)
      return Inner(misplaced);
    return apply(*record, value);
  }
  if (names->kind != CatalogKey::Kind::dataset || std::get<Dataset>(*parsed).dataset_id != names->id)
    return Inner(misplaced);
  put(key_of('d', names->id), std::string(value));
  return Inner();
}

Result<Result<void, Malformed>> CatalogBatch::apply(const Experiment& experiment, std::string_view value) {
  using Inner = Result<void, Malformed>;
  if (experiment.name.empty() || holds_nul(experiment.name)) return Inner(Malformed{"it has no name"});
  const auto owner = get(key_of('n', experiment.name));
  if (!owner) return owner.error();
  if (*owner && **owner != experiment.experiment_id) return Inner(Malformed{"another experiment has its name"});
  const auto before = get(key_of('e', experiment.experiment_id));
  if (!before) return before.error();
  if (*before) {
    const auto old = parse_catalog_record(**before);
    if (old && std::holds_alternative<Experiment>(*old)) erase(key_of('n', std::get<Experiment>(*old).name));
  }
  put(key_of('n', experiment.name), experiment.experiment_id);
  put(key_of('e', experiment.experiment_id), std::string(value));
  return Inner();
}

Result<Result<void, Malformed>> CatalogBatch::apply(const DatasetRecord& record, std::string_view value) {
  using Inner = Result<void, Malformed>;
  if (holds_nul(record.input_hash)) return Inner(Malformed{"its input_hash holds a NUL"});
  if (const auto erased = erase_record(record.dataset_id, record.dataset_record_id); !erased) return erased.error();
  const auto place = created(record.created_time) + record.dataset_record_id;
  put(prefix_of('r', record.dataset_id) + place, std::string(value));
  put(prefix_of('h', record.dataset_id) + record.input_hash, place);
  put(prefix_of('i', record.dataset_id) + record.dataset_record_id, created(record.created_time));
  return Inner();
}

Result<void> CatalogBatch::erase_record(std::string_view dataset_id, std::string_view record_id) {
  const auto id_key = prefix_of('i', dataset_id) + std::string(record_id);
  const auto at = get(id_key);
  if (!at) return at.error();
  if (!*at) return {};
  const auto record_key = prefix_of('r', dataset_id) + **at + std::string(record_id);
  const auto value = get(record_key);
  if (!value) return value.error();
  if (*value)
    if (const auto old = parse_catalog_record(**value); old && std::holds_alternative<DatasetRecord>(*old))
      erase(prefix_of('h', dataset_id) + std::get<DatasetRecord>(*old).input_hash);
  erase(record_key);
  erase(id_key);
  return {};
}

Result<void> CatalogBatch::erase_dataset(std::string_view dataset_id) {
  for (const char kind : {'r', 'h', 'i'}) {
    const auto prefix = prefix_of(kind, dataset_id);
    for (auto at = written_.lower_bound(prefix); at != written_.end() && at->first.starts_with(prefix); ++at)
      at->second.reset();
    const auto scanned =
        kv_.scan(Family::catalog, prefix, after_prefix(prefix), [&](std::string_view key, std::string_view) {
          erase(std::string(key));
          return true;
        });
    if (!scanned) return scanned;
  }
  erase(key_of('d', dataset_id));
  return {};
}

Changes CatalogBatch::finish() {
  Changes out;
  for (auto& [key, value] : written_) {
    if (value)
      out.put(Family::catalog, key, std::move(*value));
    else
      out.erase(Family::catalog, key);
  }
  written_.clear();
  return out;
}

}  // namespace assay
