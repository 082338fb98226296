#include <filesystem>
#include <iostream>

#include "ops/cli/local_owner.hpp"
#include "ops/cli/options.hpp"

namespace assay::cli {

int backup(std::vector<std::string> args) {
  CLI::App app("A copy of the data of `assay serve`, which goes on meanwhile: everything that was accepted before",
               "assay backup");
  std::string data = "assay-data", to;
  app.add_option("--data", data, "The data directory of `assay serve`, which may be running")->capture_default_str();
  app.add_option("--to", to,
                 "Where the copy is made: nothing may be there yet. On the file system of the data, whose files it "
                 "shares: copy it away from there, then remove it")
      ->required();
  const auto settle = [&]() -> std::optional<std::string> {
    if (to.empty()) return "--to: it is empty";
    if (to.find('\n') != to.npos) return "--to: a path of one line, please";
    return std::nullopt;
  };
  if (const auto parsed = parse(app, std::move(args), settle); !parsed.run) return parsed.code;

  auto where = std::filesystem::absolute(to).lexically_normal();
  if (!where.has_filename()) where = where.parent_path();  // "copy/"
  const auto owner = LocalOwner::open(data);
  if (!owner) return complain(owner.error());
  const auto answer = (*owner)->answer("backup " + where.string());
  constexpr std::string_view error = "error ";
  if (!answer.reached) return complain(answer.line);
  if (answer.line != "ok")
    return complain(answer.line.starts_with(error) ? answer.line.substr(error.size()) : answer.line);
  std::cout << where.string() << ": a copy of " << data << "\n";
  return ok;
}

}  // namespace assay::cli
