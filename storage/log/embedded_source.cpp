#include "storage/log/embedded_format.hpp"
#include "storage/log/embedded_log.hpp"

namespace assay {

class EmbeddedSource final : public EventSource {
 public:
  EmbeddedSource(EmbeddedLog& log, std::vector<StartAt> starts) : log_(log) {
    for (const auto& start : starts) followed_.push_back({start.from, start.offset});
  }

  Result<std::span<const LogRecord>> read(std::size_t records_max, std::chrono::milliseconds wait) override {
    begin();
    {
      std::unique_lock lock(log_.read_mutex_);
      log_.changed_.wait_for(lock, wait, [&] { return woken_ || ready(); });
      woken_ = false;
    }
    // Another one goes first each time, so that a stream that is always full starves nobody.
    for (std::size_t i = 0; i < followed_.size(); ++i)
      if (const auto taken = take(followed_[(turn_ + i) % followed_.size()], records_max); !taken) return taken.error();
    if (!followed_.empty()) turn_ = (turn_ + 1) % followed_.size();
    return finish();
  }

  Result<std::span<const LogRecord>> read_from(StreamPartition which, std::size_t records_max) override {
    begin();
    if (const auto taken = take(find(which), records_max); !taken) return taken.error();
    return finish();
  }

  Result<void> make_durable() override { return log_.db_.sync(); }
  Result<Offset> end(StreamPartition which) override { return log_.end(which); }
  Offset position(StreamPartition which) const override {
    return const_cast<EmbeddedSource*>(this)->find(which).offset;
  }
  Result<void> seek(StreamPartition which, Offset offset) override {
    find(which).offset = offset;
    return {};
  }
  void wake() override {
    std::scoped_lock lock(log_.read_mutex_);
    woken_ = true;
    log_.changed_.notify_all();
  }

 private:
  // Where a record's bytes are in arena_, which may move while it grows.
  struct RecordBytes {
    StreamPartition from;
    Offset offset;
    std::size_t at, bytes;
  };

  StartAt& find(StreamPartition which) {
    for (auto& followed : followed_)
      if (followed.from == which) return followed;
    assert(false && "a partition that this source does not follow");
    std::abort();
  }

  bool ready() const {
    for (const auto& followed : followed_)
      if (followed.offset < log_.end(followed.from)) return true;
    return false;
  }

  void begin() {
    arena_.clear();
    places_.clear();
    records_.clear();
  }

  // Positions move in finish(): what was taken by a read that then fails is taken again by the next.
  Result<void> take(StartAt& followed, std::size_t records_max) {
    const auto family = embedded::family_of(followed.from.stream);
    followed.offset = std::max(followed.offset, log_.first(followed.from));
    const auto end = log_.end(followed.from);
    if (!family || followed.offset >= end || places_.size() >= records_max) return {};
    const auto partition = followed.from.partition;
    return log_.db_.scan(*family, embedded::key_of(partition, followed.offset), embedded::key_of(partition, end),
                         [&](std::string_view key, std::string_view value) {
                           places_.push_back({followed.from, embedded::offset_of(key), arena_.size(), value.size()});
                           arena_ += value;
                           return places_.size() < records_max && arena_.size() < bytes_max;
                         });
  }

  Result<std::span<const LogRecord>> finish() {
    records_.reserve(places_.size());
    for (const auto& place : places_) {
      const auto parts = embedded::parts_of(std::string_view(arena_).substr(place.at, place.bytes));
      if (!parts) return Error::corrupt;
      records_.push_back(
          {place.from.stream, place.from.partition, place.offset, parts->key, parts->value, parts->tombstone});
    }
    for (const auto& place : places_) find(place.from).offset = place.offset + 1;
    return std::span<const LogRecord>(records_);
  }

  static constexpr std::size_t bytes_max = 8u << 20;  // of one read
  EmbeddedLog& log_;
  std::vector<StartAt> followed_;
  std::size_t turn_ = 0;
  bool woken_ = false;  // under the log's read_mutex_
  std::string arena_;
  std::vector<RecordBytes> places_;
  std::vector<LogRecord> records_;
};

Result<std::unique_ptr<EventSource>> EmbeddedLog::open(std::vector<StartAt> starts) {
  return std::unique_ptr<EventSource>(std::make_unique<EmbeddedSource>(*this, std::move(starts)));
}

}  // namespace assay
