#pragma once
// How much room the data of a process takes, and has left.
#include <string>

#include "ops/runtime/metrics.hpp"
#include "storage/db/db.hpp"

namespace assay::cli {

// `db` lives as long as anybody asks for the metrics.
void add_store_metrics(Metrics& metrics, const Db& db);
// Of a worker: its databases come and go with its partitions.
void add_worker_disk_metrics(Metrics& metrics, const std::string& directory);

}  // namespace assay::cli
