#include "ingest/privacy/json_texts.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "ops/runtime/parse_number.hpp"
#include "storage/records/json_writer.hpp"
#include "storage/records/utf8.hpp"

namespace assay {
namespace {

// A text that is nested deeper is none that anybody wrote as JSON; each level takes some fifty bytes here.
constexpr std::size_t depth_max = 10'000;
constexpr std::string_view blanks = " \t\r\n";

std::optional<std::uint32_t> four_hex(std::string_view text) {
  if (text.size() < 4) return {};
  return parse_hex_number<std::uint32_t>(text.substr(0, 4));
}

// What stands between the quotes of a JSON string, decoded; none where that is no JSON. Of one that was cut in the
// middle of an escape without that.
std::optional<std::string> decoded(std::string_view text, bool cut) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto plain = at;
    while (at < text.size() && text[at] != '\\' && static_cast<unsigned char>(text[at]) >= 0x20) ++at;
    out.append(text, plain, at - plain);
    if (at == text.size()) break;
    if (text[at] != '\\') return {};
    const auto rest = text.substr(at + 1);
    constexpr std::string_view names = "\"\\/bfnrt", meant = "\"\\/\b\f\n\r\t";
    if (const auto name = rest.empty() ? names.npos : names.find(rest[0]); name != names.npos) {
      out += meant[name];
      at += 2;
      continue;
    }
    auto code = rest.starts_with('u') ? four_hex(rest.substr(1)) : std::nullopt;
    if (!code) {
      if (cut && rest.size() < 5) return out;
      return {};
    }
    at += 6;
    if (*code >= 0xD800 && *code < 0xE000) {
      const auto low = text.substr(at).starts_with("\\u") ? four_hex(text.substr(at + 2)) : std::nullopt;
      if (*code < 0xDC00 && low && *low >= 0xDC00 && *low < 0xE000) {
        code = 0x10000 + ((*code - 0xD800) << 10) + (*low - 0xDC00);
        at += 6;
      } else {
        code = 0xFFFD;  // half a pair
      }
    }
    append_utf8(out, *code);
  }
  return out;
}

// A whole JSON number's digits, also of 4.1E3; empty: it has a fraction. None: it is no number.
std::optional<std::string> whole_number(std::string_view text) {
  auto rest = text;
  const auto digits = [&rest] {
    const auto count = std::min(rest.find_first_not_of("0123456789"), rest.size());
    rest.remove_prefix(count);
    return count;
  };
  if (rest.starts_with('-')) rest.remove_prefix(1);
  const bool zero = rest.starts_with('0');
  const auto whole = digits();
  if (whole == 0 || (zero && whole > 1)) return {};
  if (rest.empty()) return std::string(text);
  if (rest.starts_with('.')) {
    rest.remove_prefix(1);
    if (digits() == 0) return {};
  }
  if (rest.starts_with('e') || rest.starts_with('E')) {
    rest.remove_prefix(1);
    if (rest.starts_with('+') || rest.starts_with('-')) rest.remove_prefix(1);
    if (digits() == 0) return {};
  }
  if (!rest.empty()) return {};
  const auto value = parse_number<double>(text);
  if (!value || *value != std::trunc(*value) || std::abs(*value) >= 9e18) return std::string();
  return std::to_string(static_cast<std::int64_t>(*value));
}

// MLflow's clients and our own doors cut previews at 1,000 characters or bytes, clients the metadata at 250, with dots.
bool looks_cut(std::string_view text) { return text.size() > 990 || text.ends_with("..."); }

// What is known of a value before it is read.
struct Value {
  bool inside = false;               // its texts are changed
  const JsonPlace* place = nullptr;  // where it stands, if that is one of the places
  bool json_value = false, cut = false;
};

class Walk {
 public:
  Walk(const std::string& in, std::span<const JsonPlace> places, std::span<const std::string_view> kept,
       const ChangeText& change)
      : in_(in), places_(places), kept_(kept), change_(change) {}

  JsonChange run(Value root, bool cut, std::string& out) {
    value_ = root;
    cut_ = cut;
    while (at_ < in_.size()) {
      const char c = in_[at_];
      if (c == '"') {
        string();
      } else if (c == '{' || c == '[') {
        if (frames_.size() == depth_max) {
          result_.is_json = false;
          break;
        }
        frames_.push_back({value_, c == '{', c == '{', path_.size()});
        if (c == '[') value_ = {.inside = value_.inside};
        ++at_;
      } else if (c == '}' || c == ']') {
        if (!frames_.empty()) frames_.pop_back();
        ++at_;
      } else if (c == ',') {
        next();
        ++at_;
      } else if (c == ':' || blanks.find(c) != blanks.npos) {
        ++at_;
      } else {
        bare();
      }
    }
    if (result_.changed) out = std::move(out_.append(in_, copied_));
    return result_;
  }

 private:
  struct Frame {
    Value value;
    bool is_object, key_is_next;
    std::size_t path_bytes;
    int changed_keys = 0;
  };

  // Behind a comma: a key, or a further value of a list.
  void next() {
    if (frames_.empty()) return;
    auto& frame = frames_.back();
    frame.key_is_next = frame.is_object;
    if (frame.is_object) return;
    path_.resize(frame.path_bytes);
    value_ = {.inside = frame.value.inside};
  }

  bool is_escaped(std::size_t at) const {
    auto from = at;
    while (in_[from - 1] == '\\') --from;  // its string's quote stands before it
    return (at - from) % 2 == 1;
  }

  void string() {
    const auto from = at_;
    auto to = in_.find('"', from + 1);
    while (to != in_.npos && is_escaped(to)) to = in_.find('"', to + 1);
    const bool ended = to != in_.npos;
    at_ = ended ? to + 1 : in_.size();
    const bool is_key = !frames_.empty() && frames_.back().key_is_next;
    if (!is_key && !value_.inside) return;
    const bool cut = !ended && cut_;
    auto text = decoded(std::string_view(in_).substr(from + 1, (ended ? to : in_.size()) - from - 1), cut);
    if (!text) {
      result_.is_json = false;
      return;
    }
    JsonText found{std::move(*text), false, cut};
    if (is_key) {
      auto& frame = frames_.back();
      frame.key_is_next = false;
      value_ = member(frame, found.text);
      if (!frame.value.inside || !change_(found)) return;
      if (++frame.changed_keys > 1) found.text += " " + std::to_string(frame.changed_keys);
    } else {
      found.json_value = value_.json_value;
      found.cut |= value_.cut && looks_cut(found.text);
      if (!change_(found)) return;
    }
    std::string quoted;
    append_json_string(quoted, found.text);
    if (!ended) quoted.pop_back();
    replace(from, quoted);
  }

  // The value of a key of this object.
  Value member(const Frame& frame, std::string_view key) {
    const auto* place = frame.value.place;
    if (frame.value.inside) {
      const auto among = [key](auto names) { return std::find(names.begin(), names.end(), key) != names.end(); };
      if (place && (among(kept_) || among(place->kept))) return {};
      return {.inside = true, .json_value = place && place->json_values, .cut = place && place->cut};
    }
    path_.resize(frame.path_bytes);
    if (!path_.empty()) path_ += '.';
    path_ += key;
    const auto found =
        std::find_if(places_.begin(), places_.end(), [this](const JsonPlace& one) { return one.path == path_; });
    if (found == places_.end()) return {};
    return {.inside = true, .place = &*found, .cut = found->cut};
  }

  // A number, true, false, null, or what is no JSON.
  void bare() {
    const auto from = at_;
    at_ = std::min(in_.find_first_of("{}[],:\"", from), in_.size());
    const bool last = at_ == in_.size() && !frames_.empty();
    while (blanks.find(in_[at_ - 1]) != blanks.npos) --at_;
    const auto token = std::string_view(in_).substr(from, at_ - from);
    if (last && cut_ && value_.inside) {
      JsonText found{std::string(token), false, true};
      if (change_(found)) replace(from, found.text);
      return;
    }
    if (token == "true" || token == "false" || token == "null") return;
    const auto number = whole_number(token);
    if (!number) {
      result_.is_json = false;
    } else if (!number->empty() && value_.inside) {
      JsonText found{*number, false, false};
      std::string quoted;
      if (!change_(found)) return;
      append_json_string(quoted, found.text);
      replace(from, quoted);
    }
  }

  // What stood from there to where we are.
  void replace(std::size_t from, std::string_view with) {
    out_.append(in_, copied_, from - copied_).append(with);
    copied_ = at_;
    result_.changed = true;
  }

  const std::string& in_;
  const std::span<const JsonPlace> places_;
  const std::span<const std::string_view> kept_;
  const ChangeText& change_;
  bool cut_ = false;
  std::vector<Frame> frames_;
  Value value_;       // of what comes next, unless that is a key
  std::string path_;  // of what comes next, as long as that is outside
  std::string out_;
  std::size_t at_ = 0, copied_ = 0;
  JsonChange result_;
};

}  // namespace

JsonChange change_json(std::string& document, std::span<const JsonPlace> places, std::span<const std::string_view> kept,
                       const ChangeText& change) {
  return Walk(document, places, kept, change).run({}, false, document);
}

JsonChange change_json(std::string& document, bool cut, const ChangeText& change) {
  return Walk(document, {}, {}, change).run({.inside = true}, cut, document);
}

}  // namespace assay
