#pragma once
// One connection: reads a request, asks for its admission, reads its body, lets its handler answer, and again. Requests
// of one connection are answered in order, one at a time; what a client sends ahead waits in its buffer.
//
// Lives on its thread's io_context and is owned by the thread's list; whatever it waits for has a limit, kept by the
// thread's sweep (no timer per operation).
#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <optional>
#include <string>

#include "ingest/access/gate.hpp"
#include "ingest/http/body_buffer.hpp"
#include "ingest/http/request_body.hpp"
#include "ingest/http/request_head.hpp"
#include "ingest/http/response_stream.hpp"
#include "ingest/http/router.hpp"
#include "ingest/http/tls.hpp"
#include "ingest/server/peer_counts.hpp"
#include "ingest/server/receive_buffer.hpp"
#include "ingest/server/server_metrics.hpp"
#include "ops/runtime/task.hpp"

namespace assay {

using SteadyTime = std::chrono::steady_clock::time_point;

// What the sessions of a server share. Outlives them all; thread-safe.
struct ServerShared {
  const HttpConfig& config;
  const Router& router;
  Admission& admission;
  Admission& answers;  // of what was read, while their clients take them
  const Clock& clock;
  ServerMetrics& metrics;
  Gate* gate = nullptr;    // null: nobody is asked anything
  TlsSlot* tls = nullptr;  // null: plain HTTP
  std::atomic<std::size_t> connections{0};
  PeerCounts peers;
  std::atomic<bool> draining{false};  // answer what runs, take nothing more
  std::atomic<bool> insisting{false};
};

class Session final : public ResponseStream, public RequestBody {
 public:
  Session(Socket socket, ServerShared& shared);

  // Returns when the connection is to be closed. Throws operation_aborted after insist().
  Task<void> run();

  // For the owner, on its thread.
  void sweep(SteadyTime now);  // ends what has passed its limit
  void drain();                // closes if nothing is asked of it
  void insist();               // ends at once, whatever it does
  auto cancellation_slot() { return cancel_.slot(); }

  // As ResponseStream, for the handler that runs: see session_stream.cpp.
  Task<Result<void>> respond(Response response) override;
  Task<Result<void>> begin(unsigned status, std::string_view content_type, Headers headers) override;
  Task<Result<void>> begin_sized(unsigned status, Headers headers, std::uint64_t length) override;
  Task<Result<void>> write(std::string_view bytes) override;
  void expect_reader(std::chrono::milliseconds limit) override;
  Task<Result<void>> end() override;
  std::unique_ptr<TakenConnection> take_over() override;
  bool gone() override;
  // As RequestBody, for a handler that passes it on: see session_read.cpp.
  std::optional<std::uint64_t> length() const override;
  Task<Result<std::string_view>> read_some() override;

 private:
  enum class Phase { idle, head, body, handling, streaming, writing, lingering };
  enum class Answer { none, streaming, complete, handed_over };

  // The way of a request: session.cpp.
  Task<bool> serve_one();
  bool let_in(const Router::RouteMatch& found);
  Result<Admission::Permit, Response> admit(const Router::RouteMatch& found);
  std::size_t body_bytes_max() const;
  std::size_t body_bytes_at_once() const;
  Request request_of(const Router::RouteMatch& found, Admission::Permit& permit) const;
  Task<void> handle(Request& request);
  const Route* to_ask_instead(const Response& response) const;
  Task<void> pass_on(const Route& behind, Request& request);
  bool finish();

  // session_read.cpp.
  Task<bool> read_head();
  void forget_request();
  Result<void, Rejection> take_head(std::size_t size);
  Task<Result<void, Rejection>> read_body(Admission::Permit& permit);
  Task<Result<void>> invite_body();
  Task<Result<void, Rejection>> read_sized_body(std::size_t size);
  Task<Result<void, Rejection>> read_chunked_body(Admission::Permit& permit);
  Task<Result<std::string_view>> read_some_chunked();
  Result<std::size_t, Rejection> take_chunks();
  error_code too_late();
  Task<bool> receive_more();
  bool make_all_room();

  // session_refuse.cpp.
  Task<bool> turn_away();
  Task<bool> say_no(Response response);
  Task<bool> say_no_and_close(Rejection rejection);
  Task<bool> refuse_body(Rejection rejection, Admission::Permit& permit);
  Task<bool> discard_body();
  Task<void> linger();
  void count_refusal(unsigned status);
  void give_up();

  // session_stream.cpp.
  Task<Result<void>> send(const Response& response);
  Result<Admission::Permit> room_for(const Response& response);
  std::string_view compose(const Response& response);
  Task<Result<void>> begin_head(unsigned status, std::string_view content_type, Headers headers,
                                std::optional<std::size_t> length);
  void append_head(unsigned status, std::string_view content_type, Headers headers, std::optional<std::size_t> length);
  Task<Result<void>> write_all(std::string_view bytes);

  Task<bool> begin_tls();
  Task<void> end_tls();
  void enter(Phase phase, std::chrono::milliseconds limit);
  bool keeps_alive() const { return head_.keep_alive && !close_after_ && !shared_.draining; }
  // When it is answered: nobody will read the rest.
  bool leaves_body() const { return body_passed_on_ && !body_ended_; }
  double seconds_since_head() const;
  std::string_view behind_head() const { return buffer_.bytes().substr(head_size_); }

  static constexpr std::size_t passed_piece_bytes = 64u << 10;  // of a body that is passed on, in memory at once
  static constexpr unsigned client_closed = 499;                // counted, never sent; nginx's number for it

  Wire socket_;
  ServerShared& shared_;
  asio::cancellation_signal cancel_;

  Phase phase_ = Phase::idle;
  SteadyTime deadline_ = SteadyTime::max();
  IpAddress peer_;
  const Route* route_ = nullptr;  // of the request that is served; null: it has none, or not yet
  Gate::AccessDecision access_;   // of the request that is served
  int refused_in_a_row_ = 0;      // by a quota
  bool expired_ = false;          // the sweep has ended what is waited for, or is about to: since the last enter()
  bool gave_up_ = false;          // the sweep has answered while the handler still runs

  // A request's head is what it begins with, and stays where it is until its answer is written.
  ReceiveBuffer buffer_;
  HeadScanner scanner_;
  std::size_t head_size_ = 0;
  std::size_t body_used_ = 0;  // bytes behind the head that belong to the body
  RequestHead head_;
  std::optional<RequestParser> parser_;
  BodyBuffer body_;
  std::string_view body_view_;
  bool body_passed_on_ = false;  // by pieces, by its handler
  bool body_ended_ = true;
  std::uint64_t body_left_ = 0;  // may still come: of one in chunks, as far as its route takes it

  std::string out_;
  Answer answer_ = Answer::none;
  unsigned status_ = 0;
  std::chrono::milliseconds write_limit_{0};  // of a stream that said so; zero: the config's
  bool cut_body_ = false;                     // HEAD
  bool chunked_ = false;                      // the stream's framing
  bool close_after_ = false;
  SteadyTime began_;
};

}  // namespace assay
