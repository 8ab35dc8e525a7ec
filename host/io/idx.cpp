#include "plasticity/io/idx.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <locale>
#include <span>
#include <sstream>

#include "io/byte_source.hpp"
#include "io/messages.hpp"

namespace plasticity::io {
namespace {

constexpr std::uint64_t pixel_limit = std::uint64_t{1} << 32;
constexpr std::uint32_t image_magic = 0x803, label_magic = 0x801;
constexpr std::size_t first_piece = std::size_t{1} << 20;

std::uint32_t read_number(ByteSource& in, int header) {
  std::array<std::byte, 4> bytes;
  const std::size_t got = in.read(bytes);
  if (got < bytes.size()) {
    throw_error(ErrorCode::format, in.name(), str_cat("an IDX header of ", header, " bytes"),
                "a truncated header");
  }
  std::uint32_t number = 0;
  for (const std::byte byte : bytes) number = number << 8 | std::to_integer<std::uint32_t>(byte);
  return number;
}

/// Checks the magic number: two zero bytes, the element type, and the number of dimensions.
void check_magic(const std::string& file, std::uint32_t magic, std::uint32_t expected) {
  if (magic == expected) return;
  std::ostringstream hex;
  hex.imbue(std::locale::classic());
  hex << "0x" << std::hex << magic;
  const std::uint32_t type = magic >> 8;
  // int8, int16, int32, float, double
  const bool other_type = type == 0x09 || (type >= 0x0b && type <= 0x0e);
  throw_error(other_type ? ErrorCode::unsupported : ErrorCode::format, file,
              expected == image_magic ? "the magic number 0x803 of IDX images (bytes, 3 dimensions)"
                                      : "the magic number 0x801 of IDX labels (bytes, 1 dimension)",
              hex.str() + (magic == image_magic   ? ", IDX images"
                           : magic == label_magic ? ", IDX labels"
                           : other_type           ? ", IDX with another element type"
                                                  : ""));
}

/// Reads `total` bytes. The buffer grows with the data that was read, so that a wrong header cannot allocate
/// more memory than about twice the data.
std::vector<std::uint8_t> read_bytes(ByteSource& in, std::size_t total, const char* what) {
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < total) {
    const std::size_t have = bytes.size();
    const std::size_t piece = std::min(total - have, std::max(have, first_piece));
    bytes.reserve(have + piece);  // exactly this size; resize alone may allocate more
    bytes.resize(have + piece);
    const std::size_t got = in.read(std::as_writable_bytes(std::span(bytes)).subspan(have));
    if (got < piece) {
      throw_error(ErrorCode::format, in.name(), str_cat(total, " bytes of ", what, ", as its header says"),
                  str_cat(have + got));
    }
  }
  return bytes;
}

void check_end(ByteSource& in, const std::string& data) {
  std::byte more;
  if (in.read({&more, 1}) != 0)
    throw_error(ErrorCode::format, in.name(), "no data after the " + data, "extra data");
}

}  // namespace

Images read_idx_images(const std::filesystem::path& path) {
  return as_errors(path.string(), [&] {
    ByteSource in(path);
    check_magic(in.name(), read_number(in, 16), image_magic);
    const std::uint64_t count = read_number(in, 16), rows = read_number(in, 16),
                        columns = read_number(in, 16);
    const std::string sizes = str_cat(count, " x ", rows, " x ", columns);
    if (rows == 0 || columns == 0) {
      throw_error(ErrorCode::format, in.name(), "images of at least one row and column", sizes);
    }
    // rows * columns, of 32-bit numbers, fits in 64 bits. The division avoids the second product, which may
    // not.
    if (rows * columns > pixel_limit || count > pixel_limit / (rows * columns)) {
      throw_error(ErrorCode::format, in.name(), "at most 4 GiB of pixels", sizes);
    }
    Images images{static_cast<std::int64_t>(count), static_cast<std::int64_t>(rows),
                  static_cast<std::int64_t>(columns),
                  read_bytes(in, static_cast<std::size_t>(count * rows * columns), "pixels")};
    check_end(in, str_cat(images.pixels.size(), " pixels"));
    return images;
  });
}

std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path) {
  return as_errors(path.string(), [&] {
    ByteSource in(path);
    check_magic(in.name(), read_number(in, 8), label_magic);
    const std::uint64_t count = read_number(in, 8);
    std::vector<std::uint8_t> labels = read_bytes(in, static_cast<std::size_t>(count), "labels");
    check_end(in, str_cat(count, " labels"));
    return labels;
  });
}

}  // namespace plasticity::io
