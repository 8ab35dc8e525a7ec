#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace plasticity::io {

/// A file that appears under its name complete, or not at all. The bytes go to a temporary file in the same
/// folder, which commit() renames; without commit() it is removed and what was there before stays. Every
/// error is an Error(io) with the path. A symbolic link is followed, the permissions of a file that is
/// replaced are kept.
///
/// The temporary files of a folder are .plasticity-0.tmp, .plasticity-1.tmp, ..., one for each file that is
/// being written there. What a process that is killed leaves behind, the next writer in the folder removes: a
/// lock tells it from what a living process writes.
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

  std::string name_;                   // as the caller said it, for messages
  std::filesystem::path target_;       // where it goes
  std::filesystem::path temporary_;    // empty when there is none any more
  std::optional<mode_t> permissions_;  // of the file that is replaced
  int descriptor_ = -1;
};

}  // namespace plasticity::io
