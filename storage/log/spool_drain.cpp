// SpooledLog: the thread that opens Kafka and gives it what is on the spool.
#include <algorithm>

#include "ops/runtime/log.hpp"
#include "ops/runtime/run_task.hpp"
#include "ops/runtime/thread.hpp"
#include "storage/log/spooled_log.hpp"

namespace assay {

void SpooledLog::stop() {
  drain_.request_stop();
  spool_.wake();
  if (drain_.joinable()) drain_.join();
}

void SpooledLog::drain_until_stopped(std::stop_token stop) {
  while (!stop.stop_requested()) {
    drain_step_.begin();
    bool more = false;
    try {
      if (!upstream_.load()) try_to_open();
      more = upstream_.load() && drain_some();
    } catch (const std::exception& e) {  // the system has no thread, descriptor or memory for it: what is left stays
      spdlog::error("event=spool_not_drained problem=\"{}\" act=\"try again\"", e.what());
    }
    drain_step_.end();
    if (more) continue;
    end_closing();
    (void)sleep_unless_stopped(stop, config_.retry);
  }
  end_closing();
}

void SpooledLog::try_to_open() {
  auto opened = open_();
  if (opened) {
    spdlog::info("event=kafka_opened spool_bytes={}", spool_.bytes());
    complaint_.clear();
    upstream_ = *opened;
    return;
  }
  if (opened.error() == complaint_) return;
  complaint_ = opened.error();
  spdlog::warn("event=kafka_not_opened problem=\"{}\" act=\"what is accepted goes to the spool\"", complaint_);
}

// False: try again a little later.
bool SpooledLog::drain_some() {
  const auto queued = spool_.first(drain_records_, config_.idle_wait);
  if (!queued) {
    const auto problem = queued.error().message();
    if (problem != complaint_) spdlog::error("event=spool_stuck problem=\"{}\"", problem);
    complaint_ = problem;
    return false;
  }
  complaint_.clear();
  if (queued->empty()) return true;
  if (!draining_) spdlog::warn("event=spooling bytes={}", spool_.bytes());
  draining_ = true;
  if (!upstream_.load()->writable()) return false;
  const bool sent = send(*queued);
  // What had no answer in its time is on its way to Kafka still: the same again stands behind it, and a Kafka that is
  // slow would have more and more before it. So less is sent, until that is answered in time.
  drain_records_ =
      sent ? std::min(drain_records_ * 2, config_.drain_records_max) : std::max<std::size_t>(drain_records_ / 2, 1);
  if (!sent) return false;
  if (spool_.empty())
    drained();
  else if (spool_.records() <= config_.drain_records_max)
    begin_closing();
  return true;
}

void SpooledLog::drained() {
  draining_ = false;
  spdlog::info("event=spool_drained");
  end_closing();
  closing_again_ = {};
}

// One that does not get there in its time leaves appends alone for a good while: they are answered sooner by the disk.
void SpooledLog::begin_closing() {
  const auto now = Steady::now();
  if (now < closing_again_) return;
  closing_again_ = now + 10 * config_.closing_max;
  closing_until_ = (now + config_.closing_max).time_since_epoch().count();
  ++closings_;
}

void SpooledLog::end_closing() { closed_.reach(closings_); }

// Takes off the spool what Kafka has acknowledged, up to the first that it has not.
bool SpooledLog::send(std::span<const Spool::Queued> queued) {
  std::vector<Record> records;
  for (const auto& one : queued) {
    if (!one.record) break;
    records.push_back(*one.record);
  }
  if (records.empty()) {
    spdlog::error("event=spool_corrupt offset={} act=\"left out\"", queued.front().offset);
    return spool_.remove(queued.first(1), true).has_value();
  }
  drain_step_.begin();  // halves of what was refused are sent one by one
  const auto results = run_task(drain_io_, upstream_.load()->append_all(std::move(records)));

  // One that is too long has all refused: halves find it.
  const auto too_long = [](const Result<Appended>& result) {
    return !result && result.error() == boost::system::errc::message_size;
  };
  if (results.size() > 1 && std::ranges::all_of(results, too_long)) {
    const auto half = results.size() / 2;
    return send(queued.first(half)) && send(queued.subspan(half, results.size() - half));
  }

  std::size_t from = 0, done = 0;  // on the spool still; acknowledged, or set aside
  for (; done < results.size(); ++done) {
    if (results[done]) continue;
    const auto failure = results[done].error();
    const bool kafkas_fault = failure == Error::timed_out || failure == Error::log_unavailable ||
                              failure == Error::over_capacity || failure == Error::stopped ||
                              failure == Error::log_changed;
    if (kafkas_fault) break;
    // It would be refused for ever, and nothing behind it would move.
    spdlog::error("event=spooled_record_refused offset={} problem=\"{}\" act=\"kept aside\"", queued[done].offset,
                  failure.message());
    if (!spool_.remove(queued.subspan(from, done - from)) || !spool_.remove(queued.subspan(done, 1), true))
      return false;
    from = done + 1;
  }
  stuck_ = done < results.size();
  return spool_.remove(queued.subspan(from, done - from)).has_value() && !stuck_;
}

}  // namespace assay
