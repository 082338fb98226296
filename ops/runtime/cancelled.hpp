#pragma once
#include <boost/asio/this_coro.hpp>

#include "ops/runtime/task.hpp"

namespace assay {

// Whether the calling task has been cancelled. For tasks with throw_if_cancelled(false), which must look themselves.
inline Task<bool> is_cancelled() {
  const auto state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

}  // namespace assay
