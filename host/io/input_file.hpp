#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace plasticity::io {

/// A regular file that is open for reading. The calls throw Error(io) whose message names the path.
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& name() const { return name_; }
  std::uint64_t size() const { return size_; }  ///< size in bytes when the file was opened

  /// Reads up to out.size() bytes and returns how many were read. A smaller number means the end of the file.
  std::size_t read(std::span<std::byte> out);

  /// Fills `out`, or throws if the file ends earlier.
  void read_exactly(std::span<std::byte> out);

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace plasticity::io
