#pragma once

#include <zlib.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "io/input_file.hpp"

namespace plasticity::io {

/// The bytes of a file; of a gzip file, those that are compressed in it. zlib's gzread would do, were it not
/// silent about bytes that follow the compressed data.
class ByteSource {
 public:
  explicit ByteSource(const std::filesystem::path& path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const { return file_.name(); }

  /// Fills `out` unless the data ends before; returns the number of bytes that came. The end of gzip data is
  /// only taken for one when its checksum and length are right. Throws Error(io), or Error(format) for
  /// damaged gzip data.
  std::size_t read(std::span<std::byte> out);

 private:
  std::size_t inflate_some(std::span<std::byte> out);
  void refill();

  InputFile file_;
  // Bytes of the file; stream_.next_in and avail_in say which are still to be read.
  std::array<std::byte, 1 << 16> buffer_;
  z_stream stream_{};
  bool gzip_ = false;
  // A gzip member is complete; the file may end here, or go on with another one.
  bool between_members_ = false;
};

}  // namespace plasticity::io
