// The data directory of another role, as a tool meets it.
#include "ops/cli/local_store.hpp"

#include <gtest/gtest.h>

#include "ops/cli/local_owner.hpp"
#include "ops/cli/role.hpp"
#include "tests/support/temporary_directory.hpp"

namespace assay::cli {
namespace {

TEST(LocalStore, TheDirectoryOfAnotherRoleIsAnErrorOfUsageAndOneThatIsNotThereIsNone) {
  TemporaryDirectory directory;
  EXPECT_EQ(LocalStore::open(directory.path(), {"serve"}).error().code, failure);
  EXPECT_EQ(LocalOwner::open(directory.path()).error().code, failure);
  {
    const auto data = DataDirectory::open(directory.path());
    ASSERT_TRUE(data);
    auto db = Db::open({.directory = data->database()});
    ASSERT_TRUE(db);
    ASSERT_FALSE(claim_role(**db, directory.path(), "worker"));
  }
  EXPECT_EQ(LocalStore::open(directory.path(), {"serve"}).error().code, usage);
  EXPECT_EQ(LocalOwner::open(directory.path()).error().code, usage);
}

}  // namespace
}  // namespace assay::cli
