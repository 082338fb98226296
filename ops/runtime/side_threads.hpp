#pragma once
// Threads beside those of an io_context, for what computes for milliseconds: who waits there for a socket would wait
// for it, too. They run in the background (thread.hpp), first come, first served.
#include <atomic>
#include <boost/asio/thread_pool.hpp>
#include <cstddef>
#include <functional>

#include "ops/runtime/result.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

// Thread-safe.
class SideThreads {
 public:
  // `name` as in name_this_thread(), a literal. At most `most` run or wait at once.
  SideThreads(const char* name, std::size_t threads, std::size_t most) : name_(name), most_(most), pool_(threads) {}
  ~SideThreads() { pool_.join(); }  // all that it was given has run

  // Runs `work` there and goes on here, on the caller's executor. What it throws is thrown here.
  // Error::over_capacity: there are too many, and it has not run.
  Task<Result<void>> run(const std::function<void()>& work);

 private:
  const char* const name_;
  const std::size_t most_;
  std::atomic<std::size_t> here_{0};
  asio::thread_pool pool_;
};

}  // namespace assay
