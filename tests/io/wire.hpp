#pragma once

#include <zlib.h>

#include <cstdint>
#include <stdexcept>
#include <string>

/// Builds the bytes of files by hand, so that tests can build invalid ones.
namespace plasticity::testing {

template <class T>
std::string little_endian(T value) {
  std::string out;
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(value >> (8 * i) & 0xff);
  return out;
}

inline std::string big_endian(std::uint32_t value) {
  const std::string bytes = little_endian(value);
  return {bytes.rbegin(), bytes.rend()};
}

/// Returns a safetensors file with that header and data.
inline std::string safetensors(const std::string& json, const std::string& data = "") {
  return little_endian(std::uint64_t{json.size()}) + json + data;
}

/// Returns an IDX file of images with those sizes and that data.
inline std::string idx(std::uint32_t count, std::uint32_t rows, std::uint32_t columns,
                       const std::string& data, std::uint32_t magic = 0x803) {
  return big_endian(magic) + big_endian(count) + big_endian(rows) + big_endian(columns) + data;
}

inline std::string gzip(const std::string& data, int level = 6) {
  z_stream stream{};
  constexpr int gzip_format = 16 + MAX_WBITS;
  if (deflateInit2(&stream, level, Z_DEFLATED, gzip_format, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::runtime_error("deflateInit2");
  }
  std::string out(deflateBound(&stream, data.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int result = deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  if (result != Z_STREAM_END) throw std::runtime_error("deflate");
  return out;
}

}  // namespace plasticity::testing
