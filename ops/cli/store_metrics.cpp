#include "ops/cli/store_metrics.hpp"

#include <filesystem>

namespace assay::cli {

void add_store_metrics(Metrics& metrics, const Db& db) {
  auto& disk_bytes = metrics.gauge("assay_store_disk_bytes", "Bytes of the database's files");
  auto& memory_bytes = metrics.gauge("assay_store_memory_bytes", "Bytes of the database's caches and write buffers");
  metrics.on_collect([&] {
    disk_bytes.Set(static_cast<double>(db.bytes_on_disk()));
    memory_bytes.Set(static_cast<double>(db.memory_bytes()));
  });
}

void add_worker_disk_metrics(Metrics& metrics, const std::string& directory) {
  auto& free = metrics.gauge("assay_worker_disk_free_bytes", "Free bytes on the disk of the worker's data directory");
  metrics.on_collect([&free, directory] {
    std::error_code ec;
    const auto space = std::filesystem::space(directory, ec);
    if (!ec) free.Set(static_cast<double>(space.available));
  });
}

}  // namespace assay::cli
