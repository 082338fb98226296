#pragma once
// The files of tests/golden. Tests run in the checkout's root (see assay_test in tests/CMakeLists.txt).
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>

namespace assay::test {

// The record in tests/golden/`name`, without the line's end.
inline std::string golden(const std::string& name) {
  std::ifstream file("tests/golden/" + name, std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(file)), {});
  if (bytes.empty()) throw std::runtime_error("tests/golden/" + name + " can't be read: run it in the checkout's root");
  if (bytes.back() == '\n') bytes.pop_back();
  return bytes;
}

}  // namespace assay::test
