#include "storage/records/dead_letter_record.hpp"

#include <boost/beast/core/detail/base64.hpp>

#include "storage/records/fields.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

constexpr std::size_t detail_bytes_max = 4096;

namespace base64 = boost::beast::detail::base64;

std::string encoded(std::string_view bytes) {
  std::string text(base64::encoded_size(bytes.size()), '\0');
  text.resize(base64::encode(text.data(), bytes.data(), bytes.size()));
  return text;
}

// None where it is not base64: Beast writes behind the room that it asks for where the length is no multiple of four.
std::optional<std::string> decoded(std::string_view text) {
  if (text.size() % 4 != 0) return {};
  std::string bytes(base64::decoded_size(text.size()), '\0');
  const auto [written, read] = base64::decode(bytes.data(), text.data(), text.size());
  const auto rest = text.substr(read);
  if (rest.size() > 2 || rest.find_first_not_of('=') != rest.npos) return {};
  bytes.resize(written);
  return bytes;
}

std::optional<Stream> stream_named(std::string_view name) {
  for (const auto stream : all_streams)
    if (name_of(stream) == name) return stream;
  return {};
}

}  // namespace

Record to_record(const DeadLetter& dead, std::size_t bytes_max) {
  const auto room = feedback_bytes_max(bytes_max);  // what is beside `raw` has the rest
  const auto raw = std::string_view(dead.raw).substr(0, room / 4 * 3);
  std::string detail(utf8_prefix(dead.detail, detail_bytes_max));
  if (raw.size() < dead.raw.size())
    detail +=
        " (here are its first " + std::to_string(raw.size()) + " of " + std::to_string(dead.raw.size()) + " bytes)";
  Record record{
      .stream = Stream::deadletters, .key = dead.record_id, .value = std::string(), .accepted_at = dead.dead_at};
  JsonWriter json(*record.value);
  json.begin_object()
      .field("v", 1)
      .field("record_id", dead.record_id)
      .field("reason", dead.reason)
      .field("detail", detail);
  json.field("step", dead.step).field("dead_at", format_time(dead.dead_at));
  json.field("stream", name_of(dead.from.stream)).field("partition", dead.from.partition).field("offset", dead.offset);
  if (dead.record) {
    const auto& feedback = *dead.record;
    json.field("accepted_at", format_time(feedback.accepted_at))
        .field("assessment_id", feedback.items.front().assessment_id);
    json.field(feedback.target.field(), feedback.target.id).raw_field("record", *to_record(feedback).value);
  } else if (!dead.taken_back()) {
    json.field("raw", encoded(raw));
  }
  json.end_object();
  record.headers.push_back({"reason", dead.reason});
  record.headers.push_back({"step", dead.step});
  return record;
}

std::string place_id(StreamPartition where, Offset offset) {
  return std::string(name_of(where.stream)) + "/" + std::to_string(where.partition) + "/" + std::to_string(offset);
}

std::string conflict_id(std::string_view record_id, Partition partition, std::int64_t order) {
  return std::string(record_id) + "@" + std::to_string(partition) + "/" + std::to_string(order);
}

Record dead_letter_tombstone(std::string_view record_id) {
  return {.stream = Stream::deadletters, .key = std::string(record_id), .value = std::nullopt};
}

Result<DeadLetter, Malformed> parse_dead_letter(std::string_view value) {
  JsonReader reader;
  auto object = reader.parse(value);
  if (!object) return Malformed{object.error()};
  DeadLetter out;
  FieldProblem problem;
  std::string text;
  const bool ok = for_each_field(*object, [&](std::string_view name, simdjson::ondemand::value v) {
    if (name == "v") return read_version(v, problem);
    if (name == "record_id") return read_text(name, v, out.record_id, problem);
    if (name == "reason") return read_text(name, v, out.reason, problem);
    if (name == "detail") {
      std::string_view detail;
      if (v.get_string().get(detail)) return problem(name, "is not a string");
      out.detail = detail;
    }
    if (name == "step") return read_text(name, v, out.step, problem);
    if (name == "dead_at") return read_time(name, v, out.dead_at, problem);
    if (name == "offset") return !v.get_int64().get(out.offset) || problem(name, "is not a number");
    if (name == "partition") {
      std::int64_t partition;
      if (v.get_int64().get(partition)) return problem(name, "is not a number");
      out.from.partition = static_cast<Partition>(partition);
    } else if (name == "stream") {
      if (!read_text(name, v, text, problem)) return false;
      const auto stream = stream_named(text);
      if (!stream) return problem(name, "is not one this program knows");
      out.from.stream = *stream;
    } else if (name == "record") {
      std::string_view raw;
      simdjson::ondemand::object record;
      if (v.get_object().get(record) || record.raw_json().get(raw)) return problem(name, "is not an object");
      auto feedback = parse_feedback_record(raw);
      if (!feedback) return problem(name, feedback.error().reason);
      out.record = std::move(*feedback);
    } else if (name == "raw") {
      std::string_view raw;
      if (v.get_string().get(raw)) return problem(name, "is not a string");
      auto bytes = decoded(raw);
      if (!bytes) return problem(name, "is not base64");
      out.raw = std::move(*bytes);
    }
    return true;
  });
  if (!ok) return problem.malformed();
  if (out.record_id.empty() || out.reason.empty() || out.step.empty())
    return Malformed{"record_id, reason or step is missing"};
  return out;
}

}  // namespace assay
