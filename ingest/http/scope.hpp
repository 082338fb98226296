#pragma once
// What a caller may do, and what a door asks for.
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace assay {

enum class Scope : std::uint8_t {
  open,      // asked of nobody: health, the page
  feedback,  // say something about an answer, change it, take it back; give others a capability for that
  chat,      // ask the model
  trace,     // write traces and spans, as MLflow's client does, with the assessments that stand in them
  read,      // read what was written: traces, assessments, receipts, metrics
  admin,     // experiments and data sets, deletions
};

inline constexpr std::pair<Scope, std::string_view> scope_names[] = {
    {Scope::feedback, "feedback"}, {Scope::chat, "chat"},   {Scope::trace, "trace"},
    {Scope::read, "read"},         {Scope::admin, "admin"},
};

constexpr std::string_view name_of(Scope scope) {
  for (const auto& [known, name] : scope_names)
    if (known == scope) return name;
  return "open";
}

constexpr std::optional<Scope> scope_named(std::string_view name) {
  for (const auto& [scope, known] : scope_names)
    if (known == name) return scope;
  return {};
}

class ScopeSet {
 public:
  constexpr void add(Scope scope) { bits_ |= bit(scope); }
  constexpr bool has(Scope scope) const { return scope == Scope::open || (bits_ & bit(scope)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  static constexpr ScopeSet all() {
    ScopeSet set;
    for (const auto& [scope, name] : scope_names) set.add(scope);
    return set;
  }
  constexpr bool operator==(const ScopeSet&) const = default;

 private:
  static constexpr std::uint8_t bit(Scope scope) {
    return static_cast<std::uint8_t>(1u << static_cast<std::uint8_t>(scope));
  }
  std::uint8_t bits_ = 0;
};

// For aggregates whose scope must be said: it has no default.
class RequiredScope {
 public:
  constexpr RequiredScope(Scope scope) : scope_(scope) {}  // NOLINT(google-explicit-constructor)
  constexpr operator Scope() const { return scope_; }      // NOLINT(google-explicit-constructor)

 private:
  Scope scope_;
};

}  // namespace assay
