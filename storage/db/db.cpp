#include "storage/db/db.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/listener.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
#include <rocksdb/write_buffer_manager.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "ops/runtime/log.hpp"

namespace assay {
namespace {

rocksdb::Slice slice(std::string_view text) { return {text.data(), text.size()}; }
std::string_view view(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

// RocksDB counts what it does for each thread, each comparison of two keys; nobody reads it here, and it is a tenth of
// what a write costs.
void count_nothing() {
  thread_local const bool done = (rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable), true);
  (void)done;
}

// The same for the threads that RocksDB starts.
class QuietThreads final : public rocksdb::EventListener {
 public:
  void OnFlushBegin(rocksdb::DB*, const rocksdb::FlushJobInfo&) override { count_nothing(); }
  void OnCompactionBegin(rocksdb::DB*, const rocksdb::CompactionJobInfo&) override { count_nothing(); }
};

constexpr std::size_t load_file_entries_min = 10'000;  // fewer are written as any other change
constexpr std::size_t read_together_max = 8;           // values of any size

bool is_stream(Family family) { return family <= Family::log_catalog; }

class AgeFilter final : public rocksdb::CompactionFilter {
 public:
  AgeFilter(Family family, const decltype(DbConfig::drop)& drop) : family_(family), drop_(drop) {}
  const char* Name() const override { return "assay.age"; }
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice& value, std::string*, bool*) const override {
    return drop_(family_, view(key), view(value));
  }

 private:
  Family family_;
  const decltype(DbConfig::drop)& drop_;
};

// What a memtable takes before anything is in it (its bloom filter, its first block) counts against the budget of all
// of them (DbMemory): of some twenty families, of a dozen databases. Where it alone is over the budget every write
// makes files of all that is there.
rocksdb::ColumnFamilyOptions options_of(Family family, const DbConfig& config) {
  const auto& memory = config.memory;
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = config.cache ? 8u << 20 : 16u << 20;
  options.arena_block_size = 128u << 10;
  options.max_write_buffer_number = 3;
  options.compression = rocksdb::kLZ4Compression;
  options.level_compaction_dynamic_level_bytes = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = memory.cache;
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.block_size = is_stream(family) ? 32u << 10 : 8u << 10;
  if (family == Family::index) {  // every feedback looks up two ids, at random, and ids hardly compress
    table.block_size = 4u << 10;
    table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
    table.metadata_cache_options.unpartitioned_pinning = rocksdb::PinningTier::kAll;
    options.compression = rocksdb::kNoCompression;
  }
  // Their keys come in no order, so each compaction of the first level writes all of the next one anew: of more and
  // larger files at once it does so half as often.
  if (!is_stream(family) && !config.cache) {
    options.write_buffer_size = 32u << 20;
    options.level0_file_num_compaction_trigger = 8;
  }
  if (!is_stream(family)) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  if (family == Family::index || family == Family::seen) {  // asked for what is mostly not there
    options.memtable_prefix_bloom_size_ratio = 0.02;
    options.memtable_whole_key_filtering = true;
  }
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// RocksDB's own file of messages aborts the process on a full disk where RocksDB was built with assertions, as Debian's
// is. What matters of it goes to our log.
class DatabaseLog final : public rocksdb::Logger {
 public:
  explicit DatabaseLog(rocksdb::InfoLogLevel level) : Logger(level) {}
  using Logger::Logv;
  void Logv(const char* format, va_list arguments) override {
    if (std::string_view(format).find("File Deletions") != std::string_view::npos) return;  // of a copy, within itself
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    for (auto* at = text; *at; ++at)
      if (*at == '\n' || *at == '"') *at = ' ';
    spdlog::warn("event=database_says text=\"{}\"", text);
  }
  void LogHeader(const char*, va_list) override {}
};

// The changes by family and key, those of one key as they were: half of what a large write costs is the search for each
// key's place in its memtable, and neighbours are found from each other. Db::open says what else the order is for.
std::vector<const Changes::Change*> ordered(const Changes& changes) {
  std::vector<const Changes::Change*> out;
  out.reserve(changes.list().size());
  for (const auto& change : changes.list()) out.push_back(&change);
  std::stable_sort(out.begin(), out.end(), [](const auto* a, const auto* b) {
    return a->family != b->family ? a->family < b->family : a->key < b->key;
  });
  return out;
}

error_code error_of(const rocksdb::Status& status) {
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kNoSpace) return Error::log_full;
  if (status.IsCorruption()) return Error::corrupt;
  return Error::storage_failed;
}

}  // namespace

DbMemory DbMemory::with(std::size_t cache_bytes, std::size_t write_buffer_bytes) {
  auto cache = rocksdb::NewLRUCache(cache_bytes, 4);
  return {cache, std::make_shared<rocksdb::WriteBufferManager>(write_buffer_bytes)};
}

struct Db::Impl {
  DbConfig config;
  std::vector<std::unique_ptr<AgeFilter>> filters;
  std::unique_ptr<rocksdb::DB> db;
  rocksdb::WriteOptions write_options;
  std::atomic<std::uint64_t> loads{0};
  std::array<rocksdb::ColumnFamilyHandle*, family_count> handles{};

  rocksdb::ColumnFamilyHandle* of(Family family) const { return handles[static_cast<std::size_t>(family)]; }
  // Logged once where it happens: callers act on the code.
  error_code failed(const char* what, const rocksdb::Status& status) const {
    spdlog::error("event=database_failed act={} directory=\"{}\" problem=\"{}\"", what, config.directory,
                  status.ToString());
    return error_of(status);
  }
};

Db::Db(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Db::~Db() {
  if (!impl_->db) return;
  if (impl_->config.cache && impl_->config.reader_scratch.empty()) (void)flush();
  for (auto* handle : impl_->handles)
    if (handle) impl_->db->DestroyColumnFamilyHandle(handle);
  if (const auto status = impl_->db->Close(); !status.ok()) impl_->failed("close", status);
}

Result<std::unique_ptr<Db>, std::string> Db::open(DbConfig config) {
  auto impl = std::make_unique<Impl>();
  impl->config = std::move(config);
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_total_wal_size = impl->config.wal_bytes_max;
  options.write_buffer_manager = impl->config.memory.write_buffers;
  options.max_background_jobs = impl->config.background_jobs;
  options.max_open_files = 512;
  options.listeners.push_back(std::make_shared<QuietThreads>());
  const bool owns = impl->config.reader_scratch.empty();  // a reader's talk of its writes is about none
  options.info_log =
      std::make_shared<DatabaseLog>(owns ? rocksdb::InfoLogLevel::WARN_LEVEL : rocksdb::InfoLogLevel::ERROR_LEVEL);
  // Writers share the order of the WAL, and nothing else: an append of the front door does not wait until a step or the
  // store, whose threads have a low priority, has put a thousand entries into memtables. In exchange a reader beside a
  // write that has not returned may see a part of it; by families in their order, so rows before what points at them.
  options.unordered_write = !impl->config.cache;
  options.atomic_flush = impl->config.cache;
  impl->write_options.disableWAL = impl->config.cache;
  impl->write_options.memtable_insert_hint_per_batch = true;
  options.bytes_per_sync = 1u << 20;
  options.stats_dump_period_sec = 0;
  // Compaction must not take the cores from those who answer.
  options.env->LowerThreadPoolCPUPriority(rocksdb::Env::LOW);

  std::vector<rocksdb::ColumnFamilyDescriptor> families{{rocksdb::kDefaultColumnFamilyName, {}}};
  for (const auto family : all_families) {
    auto family_options = options_of(family, impl->config);
    if (impl->config.drop) {
      impl->filters.push_back(std::make_unique<AgeFilter>(family, impl->config.drop));
      family_options.compaction_filter = impl->filters.back().get();
      if (family == Family::seen || family == Family::index)
        family_options.ttl = 24 * 3600;  // files of cold ids are compacted, too, and so filtered
    }
    families.emplace_back(std::string(name_of(family)), family_options);
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  rocksdb::Status status;
  if (owns) {
    std::error_code ignored;  // where it can't be made, the database says why it can't be opened
    std::filesystem::create_directories(impl->config.directory, ignored);
    status = rocksdb::DB::Open(options, impl->config.directory, families, &handles, &db);
  } else {
    options.create_if_missing = options.create_missing_column_families = false;
    options.max_open_files = -1;  // files that the owner deletes stay readable
    status = rocksdb::DB::OpenAsSecondary(options, impl->config.directory, impl->config.reader_scratch, families,
                                          &handles, &db);
  }
  if (!status.ok()) {
    if (status.IsIOError() && status.ToString().find("lock") != std::string::npos)
      return "the data directory " + impl->config.directory + " is in use by another process";
    return "the database in " + impl->config.directory + " can't be opened: " + status.ToString();
  }
  impl->db.reset(db);
  db->DestroyColumnFamilyHandle(handles[0]);
  for (const auto family : all_families)
    impl->handles[static_cast<std::size_t>(family)] = handles[static_cast<std::size_t>(family) + 1];
  return std::unique_ptr<Db>(new Db(std::move(impl)));
}

Result<std::optional<std::string>> Db::get(Family family, std::string_view key) const {
  count_nothing();
  rocksdb::PinnableSlice value;
  const auto status = impl_->db->Get({}, impl_->of(family), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return impl_->failed("get", status);
  return std::optional(value.ToString());
}

Result<std::vector<std::optional<std::string>>> Db::multi_get(Family family, std::span<const std::string> keys) const {
  if (keys.size() == 1) {  // cheaper, and what the front door asks for
    auto value = get(family, keys.front());
    if (!value) return value.error();
    std::vector<std::optional<std::string>> one;
    one.push_back(std::move(*value));
    return one;
  }
  count_nothing();
  std::vector<std::optional<std::string>> out(keys.size());
  std::vector<rocksdb::Slice> slices(keys.begin(), keys.end());
  std::vector<rocksdb::PinnableSlice> values(keys.size());
  std::vector<rocksdb::Status> statuses(keys.size());
  impl_->db->MultiGet({}, impl_->of(family), keys.size(), slices.data(), values.data(), statuses.data());
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (statuses[i].ok())
      out[i] = values[i].ToString();
    else if (!statuses[i].IsNotFound())
      return impl_->failed("multi_get", statuses[i]);
  }
  return out;
}

Result<void> Db::each_of(Family family, std::span<const std::string> keys, const Found& found) const {
  count_nothing();
  std::array<rocksdb::PinnableSlice, read_together_max> values;
  std::array<rocksdb::Status, read_together_max> statuses;
  for (std::size_t from = 0; from < keys.size(); from += read_together_max) {
    const auto some = keys.subspan(from, std::min(read_together_max, keys.size() - from));
    const std::vector<rocksdb::Slice> slices(some.begin(), some.end());
    for (auto& value : values) value.Reset();
    impl_->db->MultiGet({}, impl_->of(family), some.size(), slices.data(), values.data(), statuses.data());
    for (std::size_t i = 0; i < some.size(); ++i) {
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return impl_->failed("multi_get", statuses[i]);
      if (const auto went = found(from + i, view(values[i])); !went) return went;
    }
  }
  return {};
}

Result<void> Db::scan(Family family, std::string_view from, std::string_view to, const Visit& visit) const {
  count_nothing();
  rocksdb::ReadOptions options;
  const auto upper = slice(to);
  if (!to.empty()) options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> at(impl_->db->NewIterator(options, impl_->of(family)));
  for (at->Seek(slice(from)); at->Valid(); at->Next())
    if (!visit(view(at->key()), view(at->value()))) break;
  if (!at->status().ok()) return impl_->failed("scan", at->status());
  return {};
}

Result<void> Db::scan_back(Family family, std::string_view from, std::string_view to, const Visit& visit) const {
  count_nothing();
  rocksdb::ReadOptions options;
  const auto lower = slice(from), upper = slice(to);
  options.iterate_lower_bound = &lower;
  if (!to.empty()) options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> at(impl_->db->NewIterator(options, impl_->of(family)));
  for (at->SeekToLast(); at->Valid(); at->Prev())
    if (!visit(view(at->key()), view(at->value()))) break;
  if (!at->status().ok()) return impl_->failed("scan_back", at->status());
  return {};
}

Result<void> Db::write(const Changes& changes) {
  count_nothing();
  std::size_t bytes = 0;
  for (const auto& change : changes.list()) bytes += change.key.size() + (change.value ? change.value->size() : 0) + 16;
  rocksdb::WriteBatch batch(bytes);
  for (const auto* change : ordered(changes)) {
    if (change->value)
      batch.Put(impl_->of(change->family), change->key, *change->value);
    else
      batch.Delete(impl_->of(change->family), change->key);
  }
  if (const auto status = impl_->db->Write(impl_->write_options, &batch); !status.ok())
    return impl_->failed("write", status);
  return {};
}

Result<void> Db::load(Family family, std::span<const Entry> sorted) {
  if (sorted.size() < load_file_entries_min) return KeyValue::load(family, sorted);
  auto* handle = impl_->of(family);
  const auto path = impl_->config.directory + "/load-" + std::to_string(impl_->loads++) + ".sst";
  rocksdb::SstFileWriter writer({}, impl_->db->GetOptions(handle), handle);
  auto status = writer.Open(path);
  for (const auto& [key, value] : sorted) {
    if (!status.ok()) break;
    status = value ? writer.Put(slice(key), slice(*value)) : writer.Delete(slice(key));
  }
  if (status.ok()) status = writer.Finish();
  rocksdb::IngestExternalFileOptions how;
  how.move_files = true;
  if (status.ok()) status = impl_->db->IngestExternalFile(handle, {path}, how);
  if (status.ok()) return {};
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
  return impl_->failed("load", status);
}

Result<void> Db::sync() {
  if (const auto status = impl_->db->SyncWAL(); !status.ok()) return impl_->failed("sync", status);
  return {};
}

Result<void> Db::drop_files_below(Family family, std::string_view from, std::string_view to) {
  const auto begin = slice(from), end = slice(to);
  if (const auto status = rocksdb::DeleteFilesInRange(impl_->db.get(), impl_->of(family), &begin, &end, false);
      !status.ok())
    return impl_->failed("drop_files", status);
  return {};
}

Result<void> Db::resume() {
  if (const auto status = impl_->db->Resume(); !status.ok()) return error_of(status);
  return {};
}

Result<void> Db::catch_up() {
  if (const auto status = impl_->db->TryCatchUpWithPrimary(); !status.ok()) return impl_->failed("catch_up", status);
  return {};
}

Result<void> Db::flush() {
  rocksdb::FlushOptions options;
  const std::vector<rocksdb::ColumnFamilyHandle*> handles(impl_->handles.begin(), impl_->handles.end());
  if (const auto status = impl_->db->Flush(options, handles); !status.ok()) return impl_->failed("flush", status);
  return {};
}

Result<void> Db::copy_to(const std::string& directory) {
  // The log of writes is copied, however long: memtables need not become files for it.
  constexpr auto never_flush = std::numeric_limits<std::uint64_t>::max();
  rocksdb::Checkpoint* made = nullptr;
  auto status = rocksdb::Checkpoint::Create(impl_->db.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory, impl_->config.cache ? 0 : never_flush);
  if (!status.ok()) return impl_->failed("copy", status);
  return {};
}

std::uint64_t Db::bytes_on_disk() const {
  std::uint64_t total = 0;
  for (auto* handle : impl_->handles) {
    std::uint64_t bytes = 0;
    if (impl_->db->GetIntProperty(handle, rocksdb::DB::Properties::kTotalSstFilesSize, &bytes)) total += bytes;
  }
  return total;
}

std::uint64_t Db::memory_bytes() const {
  return impl_->config.memory.cache->GetUsage() + impl_->config.memory.write_buffers->memory_usage();
}

}  // namespace assay
