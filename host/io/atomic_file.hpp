#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>

namespace plasticity::io {

/// A file that appears under its name complete, or not at all. The bytes go to a temporary file in the same
/// folder, which commit() renames; without commit() it is removed and what was there before stays. Every
/// error is an Error(io) with the path. A symbolic link is followed, the permissions of a file that is
/// replaced are kept.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);

  /// Brings the bytes to the disk and puts the file in place; nothing may be written after it.
  void commit();

 private:
  [[noreturn]] void give_up(const std::string& expected);

  std::string name_;                 // as the caller said it, for messages
  std::filesystem::path target_;     // where it goes
  std::filesystem::path temporary_;  // empty when there is none (any more)
  int descriptor_ = -1;
};

}  // namespace plasticity::io
