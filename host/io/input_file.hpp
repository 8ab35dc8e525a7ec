#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace plasticity::io {

/// A regular file, open for reading from its start. Every error is an Error(io) with the path.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }  ///< bytes, when it was opened

  /// Fills `out` unless the file ends before; returns the number of bytes that came.
  std::size_t read(std::span<std::byte> out);

  /// Fills `out`, or throws: for bytes that size() promised.
  void read_exactly(std::span<std::byte> out);

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace plasticity::io
