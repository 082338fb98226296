#include "workers/same_log.hpp"

#include <algorithm>

#include "workers/recognised.hpp"

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

Result<void> SameLog::look_back(EventSource& source, const Meta& meta) {
  Recognised known;
  const auto look = [&](std::span<const LogRecord> records) {
    return known.look_at(records, state_, feedback_.partition, policy_, meta.accepted_max);
  };
  if (auto looked = chunks_.read(source, feedback_, meta.feedback, look); !looked) return looked;
  if (known.is_another_log()) return Error::log_changed;
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
  Recognised known;
  const auto look = [&](std::span<const LogRecord> records) {
    return known.look_at(records, state_, feedback_.partition, policy_, meta.accepted_max);
  };
  const auto upto = std::min({*end, meta.feedback, committed});
  if (auto looked = chunks_.read(**source, feedback_, upto, look); !looked) return looked.error();
  return known.decided();
}

}  // namespace assay
