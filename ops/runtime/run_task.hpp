#pragma once
// Runs a task to its end on a context of this thread's own and gives its value; what it throws is thrown here. For
// threads that may block: tools, upkeep, tests. The context must outlive the call for as long as whoever wakes it may
// still be about it: a local one that is gone with the call may be gone under the log's writer.
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <optional>

#include "ops/runtime/task.hpp"

namespace assay {

template <class T>
T run_task(IoContext& context, Task<T> task) {
  std::optional<T> out;
  std::exception_ptr thrown;
  bool ended = false;
  auto keep = [](Task<T> work, std::optional<T>& value) -> Task<void> { value.emplace(co_await std::move(work)); };
  asio::co_spawn(context, keep(std::move(task), out), [&](std::exception_ptr e) {
    thrown = e;
    ended = true;
  });
  context.restart();
  while (!ended && context.run_one() > 0) {
  }
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*out);
}

}  // namespace assay
