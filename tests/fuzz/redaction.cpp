// Texts, and JSON documents of them: what is JSON stays JSON, and what was a number or a text at its place is one.
#include <boost/json.hpp>

#include "ingest/privacy/redactor.hpp"
#include "storage/records/json_writer.hpp"
#include "tests/fuzz/target.hpp"

namespace assay::fuzz {
namespace {

namespace json = boost::json;

constexpr JsonPlace places[] = {{"text"}, {.path = "preview", .cut = true}, {.path = "json", .json_values = true}};

bool is_json(std::string_view text) {
  json::parse_options options;
  options.max_depth = 4096;
  boost::system::error_code ec;
  (void)json::parse({text.data(), text.size()}, ec, {}, options);
  return !ec;
}

}  // namespace

void one(std::string_view bytes) {
  static const auto redactor =
      std::move(*Redactor::make({.built_in = {"email", "phone", "card"}, .patterns = {"own=[a-c]{3,}\\n?"}}));
  std::string document(bytes);
  const bool was_json = is_json(document);
  redactor->redact_json(document, places);
  must(!was_json || is_json(document), "what is JSON stays JSON");
  document = R"({"text":)" + std::string(bytes) + "}";
  if (is_json(document)) {
    redactor->redact_json(document, places);
    must(is_json(document), "and so does a document of it");
  }
  document = bytes;
  redactor->redact(document);

  if (!is_json("\"" + std::string(bytes) + "\"") && !is_json(bytes)) return;  // of UTF-8
  std::string quoted;
  append_json_string(quoted, bytes);
  document =
      R"({"text":)" + quoted + R"(,"preview":)" + quoted + R"(,"json":{"a":)" + quoted + R"(,"b":)" + quoted + "}}";
  redactor->redact_json(document, places);
  boost::system::error_code ec;
  const auto read = json::parse(document, ec);
  must(!ec, "a document of texts stays JSON");
  if (is_json(bytes)) {
    const bool number = bytes.find_first_of("{[\"") == bytes.npos;  // a text, unless it is said to be JSON
    must(number || is_json(read.at("text").as_string()), "a text that is JSON stays JSON");
    must(is_json(read.at("json").at("a").as_string()), "and so does a JSON value");
  }
}

}  // namespace assay::fuzz
