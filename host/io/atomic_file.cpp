#include "io/atomic_file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "io/messages.hpp"

namespace plasticity::io {
namespace {

namespace fs = std::filesystem;

/// Follows symbolic links to a file that need not exist. `path` itself, if it is no link or in a circle.
fs::path target_of(const fs::path& path) {
  constexpr int max_links = 40;  // as Linux
  fs::path target = path;
  std::error_code error;
  for (int k = 0; k < max_links && fs::is_symlink(target, error); ++k)
    target = target.parent_path() / fs::read_symlink(target, error);
  return fs::is_symlink(target, error) ? path : target;
}

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool is_still_named(int descriptor, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// Creates a file and locks it as long as it is open. Returns the descriptor, or -1 and sets errno.
int create(const fs::path& path, mode_t permissions) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions);
  if (descriptor < 0) return -1;
  // Before the lock, another writer may have removed the file as a leftover. On a file system without locks
  // no writer removes leftovers.
  const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (locked ? is_still_named(descriptor, path) : errno != EWOULDBLOCK) return descriptor;
  ::close(descriptor);
  errno = EEXIST;
  return -1;
}

/// Removes the temporary file of a writer that was killed, which is not locked any more. Returns whether
/// `path` is free.
bool remove_leftover(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return errno == ENOENT;
  const bool removed = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_still_named(descriptor, path) &&
                       ::unlink(path.c_str()) == 0;
  ::close(descriptor);
  return removed;
}

/// Creates a file as create(), after removing a leftover. Fails with EEXIST if another writer uses the path.
int claim(const fs::path& path, mode_t permissions) {
  const int descriptor = create(path, permissions);
  if (descriptor >= 0 || errno != EEXIST) return descriptor;
  if (remove_leftover(path)) return create(path, permissions);
  errno = EEXIST;
  return -1;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(target_of(path)) {
  if (!path.has_filename())
    throw_error(ErrorCode::io, in_quotes(name_), "the path of a file", "a path without a file name");
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    // A rename would replace a device or a pipe.
    if (!S_ISREG(status.st_mode)) {
      throw_error(ErrorCode::io, name_, "a regular file or no file", "a directory, pipe or device");
    }
    permissions_ = status.st_mode & mode_t{07777};
    std::error_code error;
    target_ = fs::canonical(path, error);
    if (error) throw_io_error(name_, "find its folder", error.message());
  }

  // Use the first name in the folder that no other writer uses. When a file is replaced, only its owner may
  // read the temporary file, because the old file may have been private.
  const mode_t permissions = permissions_ ? 0600 : 0666;
  int number = 0;
  do {
    temporary_ = folder_of(target_) / str_cat(".plasticity-", number, ".tmp");
    descriptor_ = claim(temporary_, permissions);
  } while (descriptor_ < 0 && errno == EEXIST && ++number < 1000);
  if (descriptor_ < 0) throw_io_error(name_, "create a file in its folder");
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(descriptor_);  // also releases the lock
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 26));
    if (written < 0) {
      if (errno == EINTR) continue;
      throw_io_error(name_, "write to it");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::commit() {
  // Some file systems have no permissions. The file is complete without them.
  if (permissions_ && ::fchmod(descriptor_, *permissions_) != 0) errno = 0;
  // Without this fsync a crash could leave the new name without its data.
  if (::fsync(descriptor_) != 0) throw_io_error(name_, "flush it to the disk");
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) throw_io_error(name_, "rename the temporary file");
  temporary_.clear();
  // This fsync makes the name durable. Errors are ignored: the file is complete, and some file systems cannot
  // sync a folder.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_CLOEXEC | O_DIRECTORY);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

}  // namespace plasticity::io
