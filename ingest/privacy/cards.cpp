#include "ingest/privacy/cards.hpp"

#include <algorithm>

namespace assay {
namespace {

constexpr std::size_t digits_min = 13, digits_max = 19;
// Shorter groups are counted as parts of a card only where nothing else stands beside it: else any list of small
// numbers would hold one.
constexpr std::size_t group_min = 3;

struct Group {
  std::size_t from, to;
  std::string_view separator;  // before it
  std::size_t digits() const { return to - from; }
};

bool passes_luhn(std::string_view text) {
  int sum = 0, at = 0;
  for (auto c = text.rbegin(); c != text.rend(); ++c) {
    if (!is_digit(*c)) continue;
    int digit = *c - '0';
    if (at++ % 2 == 1 && (digit *= 2) > 9) digit -= 9;
    sum += digit;
  }
  return sum % 10 == 0;
}

// Digits with one separator between; a letter beside them makes them part of a word.
class Run {
 public:
  // `from` is at a digit.
  Run(std::string_view text, std::size_t from) : text_(text) {
    std::string_view before;
    for (auto at = from;;) {
      end_ = at;
      while (end_ < text.size() && is_digit(text[end_])) ++end_;
      groups_.push_back({at, end_, before});
      before = text.substr(end_, separator_bytes(text.substr(end_)));
      at = end_ + before.size();
      if (before.empty() || at >= text.size() || !is_digit(text[at])) break;
    }
    if (end_ < text.size() && is_word(text[end_])) groups_.pop_back();
    if (from > 0 && is_word(text[from - 1]) && !groups_.empty()) groups_.erase(groups_.begin());
  }

  std::size_t end() const { return end_; }

  void add_cards(std::vector<DigitMatch>& out) const {
    add_whole(out);
    for (std::size_t first = 0; first < groups_.size(); ++first) {
      std::size_t digits = 0;
      for (auto last = first; last < groups_.size() && groups_[last].digits() >= group_min; ++last) {
        if (last > first + 1 && groups_[last].separator != groups_[first + 1].separator) break;
        digits += groups_[last].digits();
        if (digits > digits_max) break;
        if (digits >= digits_min && !has_fraction(first, last)) add_if_card(first, last, out);
      }
    }
  }

 private:
  // Whatever separates its groups, if there are no dots: they are of one size, but for the last.
  void add_whole(std::vector<DigitMatch>& out) const {
    std::size_t digits = 0;
    for (const auto& group : groups_) {
      if (group.separator == ".") return;
      if (&group != &groups_.back() && group.digits() != groups_[0].digits()) return;
      digits += group.digits();
    }
    if (digits >= digits_min && digits <= digits_max) add_if_card(0, groups_.size() - 1, out);
  }

  // 4111.1111.1111.1111 has none, but 0.4532015112830366 and 152.520008111.
  bool has_fraction(std::size_t first, std::size_t last) const {
    const auto dotted = [this](std::size_t at) { return at < groups_.size() && groups_[at].separator == "."; };
    if (last == first) return dotted(first) || dotted(last + 1);
    return last == first + 1 && dotted(last);
  }

  bool is_isbn(std::size_t first, std::size_t last) const {
    std::size_t digits = 0;
    for (auto at = first; at <= last; ++at) digits += groups_[at].digits();
    const auto begins = text_.substr(groups_[first].from, 3);
    return digits == digits_min && (begins == "978" || begins == "979");
  }

  void add_if_card(std::size_t first, std::size_t last, std::vector<DigitMatch>& out) const {
    const auto from = groups_[first].from, to = groups_[last].to;
    // 0, 1, 20 and 21 begin no payment card, but times and what has leading zeros.
    if (text_[from] < '2' || (text_[from] == '2' && text_[from + 1] < '2') || is_isbn(first, last) ||
        !passes_luhn(text_.substr(from, to - from)))
      return;
    if (!out.empty() && out.back().to > from)
      out.back() = {std::min(out.back().from, from), std::max(out.back().to, to)};
    else
      out.push_back({from, to});
  }

  std::string_view text_;
  std::vector<Group> groups_;
  std::size_t end_ = 0;
};

}  // namespace

std::vector<DigitMatch> find_cards(std::string_view text) {
  std::vector<DigitMatch> out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_digit(text[at])) continue;
    const Run run(text, at);
    run.add_cards(out);
    at = run.end();
  }
  return out;
}

}  // namespace assay
