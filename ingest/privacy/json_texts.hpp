#pragma once
// Changes the texts of a JSON document where they stand, however deep, and nothing else. It is read token by token: a
// document that was cut is changed as far as it goes, and numbers that stay are not written anew.
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace assay {

// Where texts stand: "spans.events.attributes" is found in {"spans":[{"events":[{"attributes":…}]}]}, and all that is
// below it. Lists have no part in a path.
struct JsonPlace {
  std::string_view path;
  bool json_values = false;  // strings right below it are JSON, as the attributes of a span are: 1, "text", {…}
  bool cut = false;          // texts at it or right below it are previews, which may end anywhere
  std::span<const std::string_view> kept = {};  // members right below it that are left alone
};

struct JsonText {
  std::string text;         // decoded; of a number what its digits are
  bool json_value = false;  // see JsonPlace
  bool cut = false;         // it may be the beginning of a longer text
};

// Whether it changed the text.
using ChangeText = std::function<bool(JsonText& text)>;

struct JsonChange {
  bool changed = false;
  bool is_json = true;  // no: not all was looked at, as what stands outside of strings, or is nested too deep
};

// Below these places, except below members named in `kept` that stand right below one. Keys are texts, too; those that
// become the same are counted: "[email]", "[email] 2". A number that changes is written as a string.
JsonChange change_json(std::string& document, std::span<const JsonPlace> places, std::span<const std::string_view> kept,
                       const ChangeText& change);
// Everywhere in it. `cut`: the document may be.
JsonChange change_json(std::string& document, bool cut, const ChangeText& change);

}  // namespace assay
