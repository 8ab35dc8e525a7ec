#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

namespace plasticity::io {

/// Writes a file atomically. The bytes go to a temporary file in the same folder, and commit() renames it.
/// Without commit() the destructor removes the temporary file, and the old file, if any, does not change.
/// Symbolic links are followed. The permissions of a replaced file are kept. The calls throw Error(io) whose
/// message names the path.
///
/// The temporary files of a folder are .plasticity-0.tmp, .plasticity-1.tmp, …, one per file that is being
/// written. Each is locked. The next writer in the folder removes an unlocked one, which a killed process has
/// left.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);

  /// Flushes the bytes to the disk and renames the file. Do not call write() afterwards.
  void commit();

 private:
  std::string name_;                   // the caller's path, for messages
  std::filesystem::path target_;       // the final path
  std::filesystem::path temporary_;    // empty after commit()
  std::optional<mode_t> permissions_;  // of the replaced file, if any
  int descriptor_ = -1;
};

}  // namespace plasticity::io
