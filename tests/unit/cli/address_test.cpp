#include <gtest/gtest.h>

#include "ops/cli/front_door_options.hpp"

namespace assay::cli {
namespace {

TEST(Address, IsOneOfThisMachineAndAPort) {
  const std::pair<std::string, std::string> hosts[] = {{"127.0.0.1:8080", "127.0.0.1"},
                                                       {"0.0.0.0:8080", "0.0.0.0"},
                                                       {"[::]:8080", "::"},
                                                       {"[::1]:8080", "::1"},
                                                       {"localhost:8080", "127.0.0.1"}};
  for (const auto& [text, host] : hosts) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->host, host);
    EXPECT_EQ(address->port, 8080);
  }
  for (const auto* text : {"app.example:8080", "worker-1:9108", "127.0.0.1", ":8080", "127.0.0.1:70000", "1.2.3:80"})
    EXPECT_FALSE(parse_address(text)) << text;
}

}  // namespace
}  // namespace assay::cli
