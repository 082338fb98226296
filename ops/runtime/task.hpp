#pragma once
// Coroutines of this project run on a concrete executor (no type erasure on the hot path): one io_context per thread,
// a session is born and dies on one.
//
// g++ 12: a co_await expression holds only names, moves and calls. A braced aggregate or a capturing lambda built
// inside it is destroyed twice: name it on the line before. tests/tidy.sh looks for the shapes.
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace assay {

namespace asio = boost::asio;

using IoContext = asio::io_context;
using Executor = asio::io_context::executor_type;
// asio::steady_timer, on that executor.
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;

template <class T>
using Task = asio::awaitable<T, Executor>;

inline constexpr asio::use_awaitable_t<Executor> use_task{};
// co_await op(as_result) gives the error_code as a value: no exceptions for what a peer or a disk can do.
inline constexpr auto as_result = asio::as_tuple(use_task);

}  // namespace assay
