#pragma once
// How many connections each address has open, so that one stranger leaves room for others.
#include <array>
#include <cstddef>
#include <map>
#include <mutex>

namespace assay {

// By quota_identity(). Thread-safe; as large as there are connections.
class PeerCounts {
 public:
  using Peer = std::array<char, 16>;

  // False, and nothing counted: it has `most` already.
  bool enter(const Peer& peer, std::size_t most) {
    std::scoped_lock lock(mutex_);
    auto& count = counts_[peer];
    if (count >= most) return false;
    ++count;
    return true;
  }
  void leave(const Peer& peer) {
    std::scoped_lock lock(mutex_);
    if (const auto at = counts_.find(peer); at != counts_.end() && --at->second == 0) counts_.erase(at);
  }

 private:
  std::mutex mutex_;
  std::map<Peer, std::size_t> counts_;
};

}  // namespace assay
