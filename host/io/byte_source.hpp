#pragma once

#include <zlib.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

#include "io/input_file.hpp"

namespace plasticity::io {

/// Reads the bytes of a file, and decompresses a gzip file. zlib's gzread is not used because it ignores
/// extra bytes after the compressed data.
class ByteSource {
 public:
  explicit ByteSource(const std::filesystem::path& path);
  ~ByteSource();
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;

  const std::string& name() const { return file_.name(); }

  /// Reads up to out.size() bytes and returns how many were read. A smaller number means the end of the data.
  /// Throws Error(io), or Error(format) if gzip data is damaged or truncated, which includes a wrong checksum
  /// or length.
  std::size_t read(std::span<std::byte> out);

 private:
  std::size_t inflate_some(std::span<std::byte> out);
  void refill();

  InputFile file_;
  // Raw bytes of the file. stream_.next_in and avail_in mark the unread ones.
  std::array<std::byte, 1 << 16> buffer_;
  z_stream stream_{};
  bool gzip_ = false;
  // A gzip member is complete: the file may end here or continue with another member.
  bool between_members_ = false;
};

}  // namespace plasticity::io
