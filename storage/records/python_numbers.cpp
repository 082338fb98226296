#include "storage/records/python_numbers.hpp"

#include "storage/records/exact_json.hpp"

namespace assay {
namespace {

constexpr std::string_view mark = "\xEE\x80\x80";  // U+E000
constexpr std::string_view escaped_mark = R"("\ue000)";
constexpr std::string_view words[] = {"-Infinity", "Infinity", "NaN"};

std::string_view word_at(std::string_view rest) {
  for (const auto word : words)
    if (rest.starts_with(word)) return word;
  return {};
}

// Whether a value ends here: it is no key.
bool ends(std::string_view rest) {
  const auto next = rest.find_first_not_of(" \t\r\n");
  return next == rest.npos || std::string_view(",]}").find(rest[next]) != std::string_view::npos;
}

// `text` with each bare word as a marked string; empty where there is none.
std::string marked(std::string_view text) {
  std::string out;
  bool any = false, in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      out += c;
      if (c == '\\' && i + 1 < text.size()) out += text[++i];
      in_string = c != '"';
      continue;
    }
    if (const auto word = word_at(text.substr(i)); !word.empty() && ends(text.substr(i + word.size()))) {
      out.append("\"").append(mark).append(word).append("\"");
      i += word.size() - 1;
      any = true;
      continue;
    }
    out += c;
    in_string = c == '"';
  }
  return any ? out : std::string();
}

}  // namespace

boost::json::value parse_python_json(std::string_view text, boost::system::error_code& ec,
                                     const boost::json::parse_options& options) {
  auto value = parse_json(text, ec, options);
  if (!ec) return value;
  const auto with_marks = marked(text);
  return with_marks.empty() ? value : parse_json(with_marks, ec, options);
}

std::optional<std::string_view> python_number(const boost::json::value& value) {
  const auto* text = value.if_string();
  if (!text) return {};
  std::string_view view(text->data(), text->size());
  if (!view.starts_with(mark)) return {};
  view.remove_prefix(mark.size());
  return word_at(view) == view && !view.empty() ? std::optional(view) : std::nullopt;
}

std::string with_python_numbers(std::string json) {
  std::string out;
  std::size_t done = 0;  // of `json`, in `out`
  for (auto at = json.find(escaped_mark); at != json.npos; at = json.find(escaped_mark, at + 1)) {
    const auto rest = std::string_view(json).substr(at + escaped_mark.size());
    const auto word = word_at(rest);
    if (word.empty() || !rest.substr(word.size()).starts_with('"')) continue;
    out.append(json, done, at - done).append(word);
    done = at + escaped_mark.size() + word.size() + 1;
  }
  out.append(json, done);
  return out;
}

}  // namespace assay
