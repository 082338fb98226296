// The files of keys while the door runs.
#include <gtest/gtest.h>

#include <fstream>

#include "ingest/access/secret_file.hpp"
#include "ops/cli/access_options.hpp"
#include "tests/support/temporary_directory.hpp"
#include "tests/support/wait_until.hpp"

namespace assay::cli {
namespace {

TEST(AccessFiles, OneThatCanNotEvenBeLookedForIsSaidAndWhatWasReadStays) {
  TemporaryDirectory directory;
  AccessOptions options;
  options.keys_file = directory.path() + "/keys.json";
  options.capability_keys_file = directory.path() + "/capability-keys.json";
  SystemClock clock;
  Metrics metrics;
  Access access(options, clock, metrics);
  ASSERT_TRUE(access.open());
  auto& refused = metrics.counter("assay_ingest_reloads_refused_total",
                                  "Files of keys or certificates that have changed and can't be used");
  std::filesystem::create_symlink("keys.json", options.keys_file);  // of itself
  access.reload();
  wait_until([&] { return refused.Value() == 1; });
  std::filesystem::remove(options.keys_file);
  access.reload();
  ASSERT_TRUE(write_secret_file(options.keys_file, "no JSON"));
  access.reload();
  wait_until([&] { return refused.Value() == 2; });
}

}  // namespace
}  // namespace assay::cli
