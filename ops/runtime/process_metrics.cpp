#include "ops/runtime/process_metrics.hpp"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace assay {
namespace {

// Fields of /proc/self/stat by their numbers in proc(5), from the third on: the second, the name, may hold spaces.
struct Stat {
  double threads = 0, started_ticks = 0, resident_pages = 0;
};

Stat read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string text(std::istreambuf_iterator<char>(file), {});
  Stat stat;
  const auto end_of_name = text.rfind(')');
  if (end_of_name == text.npos) return stat;
  std::istringstream fields(text.substr(end_of_name + 1));
  std::string field;
  for (int number = 3; fields >> field && number <= 24; ++number) {
    if (number == 20) stat.threads = std::stod(field);
    if (number == 22) stat.started_ticks = std::stod(field);
    if (number == 24) stat.resident_pages = std::stod(field);
  }
  return stat;
}

double now_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

double open_files() {
  std::error_code ec;
  std::filesystem::directory_iterator files("/proc/self/fd", ec);
  return ec ? 0 : static_cast<double>(std::distance(begin(files), end(files)) - 1);  // one is the listing itself
}

}  // namespace

void add_process_metrics(Metrics& metrics) {
  metrics.gauge("assay_build_info", "1, with the version as a label", {{"version", ASSAY_VERSION}}).Set(1);
  auto& cpu = metrics.counter("process_cpu_seconds_total", "User and system time of the process, in seconds");
  auto& resident = metrics.gauge("process_resident_memory_bytes", "Resident memory of the process");
  auto& files = metrics.gauge("process_open_fds", "Open file descriptors");
  auto& threads = metrics.gauge("process_threads", "Threads of the process");
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  metrics.gauge("process_max_fds", "File descriptors that may be open").Set(static_cast<double>(limit.rlim_cur));
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  const double booted = now_of(CLOCK_REALTIME) - now_of(CLOCK_BOOTTIME);
  metrics.gauge("process_start_time_seconds", "Start of the process since the epoch")
      .Set(booted + read_stat().started_ticks / ticks);
  metrics.on_collect([&cpu, &resident, &files, &threads, page] {
    const auto stat = read_stat();
    cpu.Increment(std::max(0.0, now_of(CLOCK_PROCESS_CPUTIME_ID) - cpu.Value()));
    resident.Set(stat.resident_pages * page);
    threads.Set(stat.threads);
    files.Set(open_files());
  });
}

}  // namespace assay
