#pragma once
// A data directory belongs to the topics that it was made of: offsets, partitions and ids say something else in those
// of another cluster, or under another prefix.
#include <optional>
#include <string>

#include "ops/cli/problem.hpp"
#include "storage/state/key_value.hpp"

namespace assay::cli {

inline const std::string topics_key = "kafka/topics";  // in Family::meta: CLUSTER/PREFIX. DO NOT CHANGE

// In a sentence what stands against using it with these topics. `cluster`: empty while no broker has said it; then only
// the prefix is compared.
inline std::optional<Problem> problem_with_topics(const KeyValue& db, const std::string& directory,
                                                  const std::string& cluster, const std::string& prefix) {
  const auto found = db.get(Family::meta, topics_key);
  if (!found) return Problem("the data in " + directory + " can't be read: " + found.error().message());
  if (!*found) return std::nullopt;  // new, or made before this was kept
  const auto slash = (*found)->find('/');
  const auto cluster_before = (*found)->substr(0, slash), prefix_before = (*found)->substr(slash + 1);
  const bool one_cluster = cluster.empty() || cluster_before.empty() || cluster == cluster_before;
  if (one_cluster && prefix == prefix_before) return std::nullopt;
  return Problem(directory + " belongs to the topics " + prefix_before + "* of the Kafka cluster " +
                     (cluster_before.empty() ? "that it was made on" : cluster_before) + ", and these are " + prefix +
                     "*" + (cluster.empty() ? "" : " of " + cluster) +
                     ": give each --topic-prefix and each cluster a --data directory of its own",
                 usage);
}

// It is theirs from now on; where problem_with_topics() has said nothing.
inline Result<void> keep_topics(KeyValue& db, const std::string& cluster, const std::string& prefix) {
  const auto found = db.get(Family::meta, topics_key);
  if (!found) return found.error();
  if (*found && cluster.empty()) return {};
  Changes changes;
  changes.put(Family::meta, topics_key, cluster + "/" + prefix);
  return db.write(changes);
}

// Both: a sentence, or it is theirs.
inline std::optional<Problem> claim_topics(KeyValue& db, const std::string& directory, const std::string& cluster,
                                           const std::string& prefix) {
  if (auto problem = problem_with_topics(db, directory, cluster, prefix)) return problem;
  if (const auto kept = keep_topics(db, cluster, prefix); !kept)
    return Problem(directory + " can't be written: " + kept.error().message());
  return std::nullopt;
}

}  // namespace assay::cli
