#include "io/input_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "io/messages.hpp"

namespace plasticity::io {

InputFile::InputFile(const std::filesystem::path& path)
    : name_(path.empty() ? in_quotes("") : path.string()) {
  // O_NONBLOCK: opening a pipe does not wait for a writer. It has no effect on a regular file.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw_io_error(name_, "open it");
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const std::string got = known ? "a directory, pipe or device" : system_message();
    ::close(descriptor_);
    throw_error(ErrorCode::io, name_, "a regular file", got);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

std::size_t InputFile::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    // Linux reads at most 2 GiB per call. With smaller pieces less is repeated after a signal.
    const std::size_t piece = std::min<std::size_t>(out.size() - done, std::size_t{1} << 26);
    const ssize_t got = ::read(descriptor_, out.data() + done, piece);
    if (got == 0) break;
    if (got < 0) {
      if (errno == EINTR) continue;
      throw_io_error(name_, "read it");
    }
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void InputFile::read_exactly(std::span<std::byte> out) {
  const std::size_t got = read(out);
  if (got != out.size()) {
    throw_error(ErrorCode::io, name_, str_cat(out.size(), " more bytes"),
                str_cat(got, ": the file became shorter while it was read"));
  }
}

}  // namespace plasticity::io
