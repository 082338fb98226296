#include "ingest/otlp/inflate.hpp"

#include <zlib.h>

namespace assay {
namespace {

enum class Frame : int { gzip = 15 + 16, zlib = 15, none = -15 };

Result<std::string, OtlpProblem> run(std::string_view body, Frame frame, std::size_t bytes_max) {
  z_stream stream{};
  if (inflateInit2(&stream, static_cast<int>(frame)) != Z_OK)
    return OtlpProblem{503, "there is no memory to decompress it"};
  std::string out;
  char block[32u << 10];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  int state = Z_OK;
  while (state == Z_OK && out.size() <= bytes_max) {
    stream.next_out = reinterpret_cast<Bytef*>(block);
    stream.avail_out = sizeof block;
    state = inflate(&stream, Z_NO_FLUSH);
    out.append(block, sizeof block - stream.avail_out);
    if (state == Z_STREAM_END && stream.avail_in > 0 && frame == Frame::gzip) {  // a file of several members
      if (inflateReset(&stream) != Z_OK) break;
      state = Z_OK;
    }
  }
  inflateEnd(&stream);
  if (out.size() > bytes_max) return OtlpProblem{413, "it is larger than " + std::to_string(bytes_max) + " bytes"};
  if (state != Z_STREAM_END) return OtlpProblem{400, "it is malformed or cut"};
  return out;
}

}  // namespace

Result<std::string, OtlpProblem> inflated(std::string_view body, std::string_view coding, std::size_t bytes_max) {
  if (coding == "identity" || coding.empty()) return std::string(body);
  if (coding == "gzip" || coding == "x-gzip") return run(body, Frame::gzip, bytes_max);
  if (coding == "deflate") {
    auto framed = run(body, Frame::zlib, bytes_max);
    return framed ? std::move(framed) : run(body, Frame::none, bytes_max);
  }
  return OtlpProblem{400, "Unsupported Content-Encoding: " + std::string(coding)};
}

}  // namespace assay
