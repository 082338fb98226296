#include "ingest/otlp/inflate.hpp"

#include <zlib.h>

#include "ops/runtime/error.hpp"

namespace assay {
namespace {

enum class Frame : int { gzip = 15 + 16, zlib = 15, none = -15 };

Result<std::string, OtlpProblem> run(std::string_view body, Frame frame, std::size_t bytes_max,
                                     const HasRoom& has_room) {
  z_stream stream{};
  if (inflateInit2(&stream, static_cast<int>(frame)) != Z_OK)
    return OtlpProblem{503, "there is no memory to decompress it"};
  std::string out;
  char block[32u << 10];
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  int state = Z_OK;
  bool room = true;
  while (state == Z_OK && out.size() <= bytes_max && room) {
    stream.next_out = reinterpret_cast<Bytef*>(block);
    stream.avail_out = sizeof block;
    state = inflate(&stream, Z_NO_FLUSH);
    const auto more = sizeof block - stream.avail_out;
    room = out.size() + more > bytes_max || has_room(more);
    if (room) out.append(block, more);
    if (state == Z_STREAM_END && stream.avail_in > 0 && frame == Frame::gzip) {  // a file of several members
      if (inflateReset(&stream) != Z_OK) break;
      state = Z_OK;
    }
  }
  inflateEnd(&stream);
  if (!room) return OtlpProblem{503, make_error_code(Error::over_capacity).message()};
  if (out.size() > bytes_max) return OtlpProblem{413, "it is larger than " + std::to_string(bytes_max) + " bytes"};
  if (state != Z_STREAM_END) return OtlpProblem{400, "it is malformed or cut"};
  return out;
}

}  // namespace

Result<std::string, OtlpProblem> inflated(std::string_view body, std::string_view coding, std::size_t bytes_max,
                                          const HasRoom& has_room) {
  if (coding == "gzip" || coding == "x-gzip") return run(body, Frame::gzip, bytes_max, has_room);
  if (coding == "deflate") {
    auto framed = run(body, Frame::zlib, bytes_max, has_room);
    if (framed || framed.error().status != 400) return framed;
    return run(body, Frame::none, bytes_max, has_room);
  }
  return OtlpProblem{400, "Unsupported Content-Encoding: " + std::string(coding)};
}

}  // namespace assay
