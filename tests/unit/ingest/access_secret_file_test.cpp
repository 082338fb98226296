#include "ingest/access/secret_file.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <fstream>

#include "tests/support/temporary_directory.hpp"

namespace assay {
namespace {

TEST(SecretFile, WhyItCanNotBeReadIsSaid) {
  TemporaryDirectory directory;
  const auto path = directory.path() + "/keys.json";
  EXPECT_EQ(read_secret_file(path).error(), "can't read " + path + ": No such file or directory");
  EXPECT_TRUE(read_secret_file(directory.path()).error().ends_with(": Is a directory"));
  std::ofstream(path).flush();
  errno = ENOTTY;  // of something before
  EXPECT_EQ(read_secret_file(path).error(), path + " is empty");
  std::ofstream(path) << "{}";
  EXPECT_EQ(read_secret_file(path)->bytes, "{}");
}

}  // namespace
}  // namespace assay
