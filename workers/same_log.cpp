#include "workers/same_log.hpp"

#include <algorithm>

namespace assay {

Result<void> SameLog::reaches_to(EventSource& source, Offset committed) const {
  const auto end = source.end(feedback_);
  if (!end) return end.error();
  if (*end >= committed) return {};
  const auto position = source.position(feedback_);
  if (auto sought = source.seek(feedback_, committed); !sought)  // asks the brokers
    return sought.error() == Error::corrupt ? Error::log_changed : sought.error();
  return source.seek(feedback_, position);
}

Result<Recognised> SameLog::look(EventSource& source, Offset upto, const Meta& meta) {
  Recognised known;
  const auto take = [&](std::span<const LogRecord> records) {
    return known.look_at(records, state_, feedback_.partition, policy_, meta);
  };
  if (const auto read = chunks_.read(source, feedback_, upto, take); !read) return read.error();
  return known;
}

Result<void> SameLog::look_back(EventSource& source, const Meta& meta) {
  const auto known = look(source, meta.feedback, meta);
  if (!known) return known.error();
  if (known->is_another_log()) return Error::log_changed;
  const bool there = source.position(feedback_) == meta.feedback;
  return there ? Result<void>() : source.seek(feedback_, meta.feedback);
}

Result<void> SameLog::check(Offset committed, const Meta& meta) {
  auto source = sources_.open({{feedback_, std::max<Offset>(0, meta.feedback - peeked_records)}});
  if (!source) return source.error() == Error::corrupt ? Error::log_changed : source.error();
  if (auto reaches = reaches_to(**source, committed); !reaches) return reaches;
  return meta.feedback == 0 ? Result<void>() : look_back(**source, meta);
}

Result<Offset> SameLog::decided(Offset committed, const Meta& meta) {
  if (meta.feedback == 0) return Offset{0};
  const auto first = sources_.first_since(feedback_, meta.accepted_max - policy_.dedupe_window - clocks_differ);
  if (!first) return first.error();
  auto source = sources_.open({{feedback_, *first}});
  if (!source) return source.error();
  const auto end = (*source)->end(feedback_);
  if (!end) return end.error();
  const auto known = look(**source, std::min({*end, meta.feedback, committed}), meta);
  if (!known) return known.error();
  return known->decided();
}

}  // namespace assay
