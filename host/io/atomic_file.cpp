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

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool is_still_named(int descriptor, const fs::path& path) {
  struct stat opened {};
  struct stat named {};
  return ::fstat(descriptor, &opened) == 0 && ::lstat(path.c_str(), &named) == 0 &&
         opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/// A new file, locked as long as it is open; -1 and errno if there is none to be had.
int create(const fs::path& path, mode_t permissions) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, permissions);
  if (descriptor < 0) return -1;
  // Before it was locked, another writer may have taken it for a leftover. Where the file system has no
  // locks none does that.
  const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (locked ? is_still_named(descriptor, path) : errno != EWOULDBLOCK) return descriptor;
  ::close(descriptor);
  errno = EEXIST;
  return -1;
}

/// Removes what a writer that was killed left behind: nobody holds the lock any more.
bool remove_leftover(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (descriptor < 0) return errno == ENOENT;
  const bool removed = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0 && is_still_named(descriptor, path) &&
                       ::unlink(path.c_str()) == 0;
  ::close(descriptor);
  return removed;
}

/// create(), in place of a leftover if there is one; EEXIST if somebody writes there.
int claim(const fs::path& path, mode_t permissions) {
  const int descriptor = create(path, permissions);
  if (descriptor >= 0 || errno != EEXIST) return descriptor;
  if (remove_leftover(path)) return create(path, permissions);
  errno = EEXIST;
  return -1;
}

}  // namespace

AtomicFile::AtomicFile(const fs::path& path) : name_(path.string()), target_(path) {
  if (!path.has_filename())
    throw_error(ErrorCode::io, in_quotes(name_), "the path of a file", "one without a file name");
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    // Renaming over a device or a pipe would replace it.
    if (!S_ISREG(status.st_mode)) {
      throw_error(ErrorCode::io, name_, "a regular file or none", "a directory, pipe or device");
    }
    permissions_ = status.st_mode & mode_t{07777};
    std::error_code error;
    target_ = fs::canonical(path, error);
    if (error) throw_error(ErrorCode::io, name_, "to find its folder", error.message());
  }

  // The first name in the folder that no other writer is using. Who may not read the old file may not read
  // the new one while it is written.
  const mode_t permissions = permissions_ ? 0600 : 0666;
  int number = 0;
  do {
    temporary_ = folder_of(target_) / str_cat(".plasticity-", number, ".tmp");
    descriptor_ = claim(temporary_, permissions);
  } while (descriptor_ < 0 && errno == EEXIST && ++number < 1000);
  if (descriptor_ < 0) {
    throw_error(ErrorCode::io, name_, "to create a file in its folder", system_message());
  }
}

AtomicFile::~AtomicFile() {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  ::close(descriptor_);  // and with it goes the lock
}

void AtomicFile::give_up(const std::string& expected) {
  throw_error(ErrorCode::io, name_, expected, system_message());
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
  // Not every file system has permissions to set; the file is no worse without.
  if (permissions_ && ::fchmod(descriptor_, *permissions_) != 0) errno = 0;
  // Without the first fsync a crash could leave the new name with old or no data.
  if (::fsync(descriptor_) != 0) give_up("to bring it to the disk");
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
