#include "io/byte_source.hpp"

#include <algorithm>
#include <cstring>

#include "io/messages.hpp"

namespace plasticity::io {

ByteSource::ByteSource(const std::filesystem::path& path) : file_(path) {
  refill();
  gzip_ = stream_.avail_in >= 2 && buffer_[0] == std::byte{0x1f} && buffer_[1] == std::byte{0x8b};
  constexpr int gzip_only = 16;  // zlib flag, added to the window size
  if (gzip_ && inflateInit2(&stream_, MAX_WBITS + gzip_only) != Z_OK) throw std::bad_alloc();
}

ByteSource::~ByteSource() {
  if (gzip_) inflateEnd(&stream_);
}

void ByteSource::refill() {
  stream_.avail_in = static_cast<uInt>(file_.read(buffer_));
  stream_.next_in = reinterpret_cast<Bytef*>(buffer_.data());
}

std::size_t ByteSource::read(std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    if (stream_.avail_in == 0) refill();
    if (stream_.avail_in == 0) break;
    done += inflate_some(out.subspan(done));
  }
  if (gzip_ && done < out.size() && !between_members_) {
    throw_error(ErrorCode::format, name(), "complete gzip data", "a truncated file");
  }
  return done;
}

/// Copies or decompresses buffered bytes to `out` and returns how many were written. The buffer has at least
/// one byte, and `out` has room for at least one.
std::size_t ByteSource::inflate_some(std::span<std::byte> out) {
  const std::size_t room = std::min<std::size_t>(out.size(), 1u << 30);  // uInt has 32 bits
  if (!gzip_) {
    const std::size_t count = std::min<std::size_t>(room, stream_.avail_in);
    std::memcpy(out.data(), stream_.next_in, count);
    stream_.next_in += count;
    stream_.avail_in -= static_cast<uInt>(count);
    return count;
  }
  const bool starts_member = between_members_;
  if (starts_member) inflateReset(&stream_);
  stream_.next_out = reinterpret_cast<Bytef*>(out.data());
  stream_.avail_out = static_cast<uInt>(room);
  const int result = inflate(&stream_, Z_NO_FLUSH);
  between_members_ = result == Z_STREAM_END;
  if (result == Z_MEM_ERROR) throw std::bad_alloc();
  if (result != Z_OK && result != Z_STREAM_END) {
    throw_error(ErrorCode::format, name(),
                starts_member ? "nothing but gzip data after the compressed data" : "valid gzip data",
                stream_.msg ? printable(stream_.msg) : str_cat("zlib error ", result));
  }
  return room - stream_.avail_out;
}

}  // namespace plasticity::io
