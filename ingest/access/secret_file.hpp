#pragma once
// A file of secrets: read whole, written whole (beside it, then renamed over it), readable by its owner alone. What
// root writes is the directory's owner's, whose service reads it. Errors are sentences.
#include <string>
#include <string_view>

#include "ops/runtime/result.hpp"

namespace assay {

struct SecretFile {
  std::string bytes;
};
Result<SecretFile, std::string> read_secret_file(const std::string& path);
Result<void, std::string> write_secret_file(const std::string& path, std::string_view bytes);
// As root: makes the open file its directory's owner's. False: errno says why it can't.
bool give_to_owner_of_directory(int file, const std::string& path);

}  // namespace assay
