#pragma once
// A copy of a data directory while its process goes on: what `assay backup` makes. It is a data directory like any
// other; where it is put in the place of the first, or beside it, a process starts from it as after a crash.
#include <span>
#include <string>

#include "storage/db/db.hpp"

namespace assay {

// `to`: an absolute path of nothing, or of an empty directory, on the same file system, since the files of the database
// are hard links; directories on the way to it are made, and it becomes readable for its owner alone. Holds everything
// that was acknowledged before the call. `beside`: files of the data directory, by name, that are taken along where
// they are there. On disk when it returns. Fails with a sentence; then nothing is left in `to`.
Result<void, std::string> back_up(Db& db, const std::string& data, const std::string& to,
                                  std::span<const std::string_view> beside);

}  // namespace assay
