#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <optional>
#include <utility>

#include "io/messages.hpp"

namespace plasticity::io {
namespace {

namespace fs = std::filesystem;

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(path) {
  if (!path.has_filename())
    fail(ErrorCode::io, in_quotes(name_), "the path of a file", "one without a file name");
  std::optional<mode_t> permissions;
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    // Renaming over a device or a pipe would replace it.
    if (!S_ISREG(status.st_mode)) {
      fail(ErrorCode::io, name_, "a regular file or none", "a directory, pipe or device");
    }
    permissions = status.st_mode & mode_t{07777};
    std::error_code error;
    target_ = fs::canonical(path, error);
    if (error) fail(ErrorCode::io, name_, "to find its folder", error.message());
  }

  // A name of its own for every process and every file in it; O_EXCL leaves alone what another one may have
  // left there.
  static std::atomic<unsigned> counter = 0;
  for (int attempt = 0; attempt < 100 && descriptor_ < 0; ++attempt) {
    temporary_ = folder_of(target_) / text(".plasticity-", ::getpid(), "-", counter++, ".tmp");
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno != EEXIST) break;
  }
  if (descriptor_ < 0) {
    fail(ErrorCode::io, name_, "to create a file in its folder", system_message());
  }
  // Not every file system has permissions to set; the file is no worse without.
  if (permissions && ::fchmod(descriptor_, *permissions) != 0) errno = 0;
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::give_up(const std::string& expected) {
  fail(ErrorCode::io, name_, expected, system_message());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 26));
    if (put < 0) {
      if (errno == EINTR) continue;
      give_up("to write to it");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
}

void AtomicFile::commit() {
  // Without the first fsync a crash could leave the new name with old or no data.
  if (::fsync(descriptor_) != 0) give_up("to bring it to the disk");
  if (::close(std::exchange(descriptor_, -1)) != 0) give_up("to close it");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) give_up("to put it in place");
  temporary_.clear();
  // The second one makes the name durable. The file is in place by now, and some file systems cannot do this.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

}  // namespace plasticity::io
