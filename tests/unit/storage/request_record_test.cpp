#include "storage/records/request_record.hpp"

#include <gtest/gtest.h>

namespace assay {
namespace {

const std::string ours = "tr-0123456789abcdef0123456789abcdef", theirs = "tr-00000000000000000000000000000000";

std::vector<std::string> keys(std::string_view trace_id, std::string_view client_request_id) {
  std::vector<std::string> out;
  for (const auto& record : request_records(trace_id, client_request_id, Instant())) out.push_back(record.key);
  return out;
}

std::string problem(std::string_view key, std::string_view value) {
  return problem_with_request({Stream::requests, 0, 0, key, value}).value_or("");
}

TEST(RequestRecord, ATraceIsNamedByItsOwnIdAndByItsClientRequestId) {
  EXPECT_EQ(keys(ours, "req-1"), (std::vector<std::string>{ours, "req-1"}));
  EXPECT_EQ(keys(ours, ""), (std::vector<std::string>{ours}));
}

TEST(RequestRecord, ATracesOwnIdNamesNoOtherTrace) {
  EXPECT_EQ(keys(ours, theirs), (std::vector<std::string>{ours}));
  EXPECT_EQ(keys(ours, "tr-mine"), (std::vector<std::string>{ours, "tr-mine"})) << "of another form: anybody's";
  EXPECT_EQ(problem(theirs, ours), "its key is another trace's own id");
  EXPECT_EQ(problem(ours, ours), "");
  EXPECT_EQ(problem("tr-0123456789ABCDEF0123456789ABCDEF", theirs), "") << "no trace's: MLflow's are in lower case";
}

TEST(RequestRecord, WhatIsNoIdNamesNothing) {
  EXPECT_EQ(problem("req-1", "żółw"), "");
  EXPECT_EQ(problem("", ours), "its key is empty");
  EXPECT_EQ(problem("req-1", ""), "its value is empty");
  EXPECT_EQ(problem("req-1", "\xff\xfe"), "its value is not UTF-8");
  EXPECT_EQ(problem("req-1", std::string_view("a\0b", 3)), "its value has control characters");
  EXPECT_EQ(problem("a\nb", ours), "its key has control characters");
  EXPECT_EQ(problem("req-1", std::string(513, 'x')), "its value is longer than 512 bytes");
  EXPECT_FALSE(problem_with_request({Stream::requests, 0, 0, "req-1", "", true})) << "a tombstone has no value";
}

}  // namespace
}  // namespace assay
