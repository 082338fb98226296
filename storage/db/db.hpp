#pragma once
// Opens RocksDB, once a process (a Kafka worker: once for each partition it owns): every family of KeyValue is a column
// family of it. One WAL serves all of them, so one sync makes everything written before it durable.
#include <memory>

#include "storage/state/key_value.hpp"

namespace rocksdb {
class Cache;
class WriteBufferManager;
}  // namespace rocksdb

namespace assay {

// Memory that several databases of one process share.
struct DbMemory {
  std::shared_ptr<rocksdb::Cache> cache;
  std::shared_ptr<rocksdb::WriteBufferManager> write_buffers;
  static DbMemory with(std::size_t cache_bytes, std::size_t write_buffer_bytes);
};

struct DbConfig {
  std::string directory;
  DbMemory memory = DbMemory::with(64u << 20, 64u << 20);
  std::uint64_t wal_bytes_max = 256u << 20;  // over it, the families with the oldest unflushed writes are flushed
  int background_jobs = 2;
  // What is in it can be built again from elsewhere (a worker's state on Kafka): no write-ahead log. A kill -9 takes it
  // back to an earlier moment, all families to the same one; flush() and closing make it the last one.
  bool cache = false;
  // Reads what another process, or none, has in `directory`, as it is at the time of opening (plus catch_up()); nothing
  // is written there. Not empty: where this reader keeps its own log.
  std::string reader_scratch;
  // Families whose entries age: true lets the compaction drop the entry. Called from RocksDB's threads.
  std::function<bool(Family, std::string_view key, std::string_view value)> drop;
};

class Db final : public KeyValue {
 public:
  // Fails with a sentence: in use by another process, written by a newer version, corrupt, no permission.
  static Result<std::unique_ptr<Db>, std::string> open(DbConfig config);
  ~Db() override;

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override;
  Result<std::vector<std::optional<std::string>>> multi_get(Family family,
                                                            std::span<const std::string> keys) const override;
  // Eight are in memory at a time.
  Result<void> each_of(Family family, std::span<const std::string> keys, const Found& found) const override;
  Result<void> scan(Family family, std::string_view from, std::string_view to, const Visit& visit) const override;
  Result<void> scan_back(Family family, std::string_view from, std::string_view to, const Visit& visit) const override;
  // Error::log_full when the disk has no room. Nothing of it is there then.
  Result<void> write(const Changes& changes) override;
  // As a file of its own where there is enough for one.
  Result<void> load(Family family, std::span<const Entry> sorted) override;

  // Everything written before this call is on disk when it returns. An error is final for what was written since the
  // last success: it may or may not survive.
  Result<void> sync();
  // Forgets keys below `to` by dropping whole files; what shares a file with later keys stays for now.
  Result<void> drop_files_below(Family family, std::string_view from, std::string_view to);
  // After a full disk: tries to write again.
  Result<void> resume();
  // A reader's: sees what the owner has written since.
  Result<void> catch_up();
  // Memtables to files: less to replay at the next start.
  Result<void> flush();
  // Everything that was written before this call, and nothing half, as a database of its own in `directory`, which must
  // not be there. Its files are hard links where the file system has them; writers go on meanwhile.
  Result<void> copy_to(const std::string& directory);

  std::uint64_t bytes_on_disk() const;
  std::uint64_t memory_bytes() const;

 private:
  struct Impl;
  explicit Db(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace assay
