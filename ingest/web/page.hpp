#pragma once
// The page: what ingest/web/build made of src/, inside the program, each file also compressed. Served under /assay/.
#include <span>
#include <string_view>

#include "ingest/http/router.hpp"

namespace assay {

struct PageFile {
  std::string_view path;  // below /assay/, e.g. "assets/index-abc.js"
  std::string_view content_type;
  std::string_view hash;   // of the content; the ETag of each coding is made of it
  bool immutable;          // its name changes with its content
  std::string_view plain;  // the three codings; the compressed ones may be empty
  std::string_view gzip, brotli;
};

// Defined in the file that the build generates.
std::span<const PageFile> page_files();

// GET /assay/ and each file below it, with ETag, 304, and the best coding that the client takes; /assay leads there,
// and so does / where `at_root`.
void add_page_routes(Router& router, std::span<const PageFile> files, bool at_root);

// The best of the codings that the client accepts and the file has: "br", "gzip", or "" for plain (RFC 9110, 12.5.3).
std::string_view choose_coding(const PageFile& file, std::string_view accept_encoding);

}  // namespace assay
