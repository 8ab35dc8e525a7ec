#include "plasticity/io/png.hpp"

#include <png.h>

#include <cstddef>
#include <span>

#include "io/atomic_file.hpp"
#include "io/messages.hpp"

namespace plasticity::io {
namespace {

constexpr std::int64_t side_limit = 1'000'000;                // limit of libpng
constexpr std::int64_t sample_limit = std::int64_t{1} << 30;  // libpng uses 32-bit sizes

/// Checks the image and returns the number of samples per row.
std::int64_t check(const std::string& file, const Image& image) {
  if (image.width < 1 || image.width > side_limit) {
    bad_argument(file + ": image.width", str_cat("1 to ", side_limit), str_cat(image.width));
  }
  if (image.height < 1 || image.height > side_limit) {
    bad_argument(file + ": image.height", str_cat("1 to ", side_limit), str_cat(image.height));
  }
  if (image.channels != 1 && image.channels != 3) {
    bad_argument(file + ": image.channels", "1 or 3", str_cat(image.channels));
  }
  const std::int64_t row = image.width * image.channels, samples = row * image.height;
  if (samples > sample_limit) {
    bad_argument(file + ": image", str_cat("at most ", sample_limit, " samples"), str_cat(samples));
  }
  if (static_cast<std::uint64_t>(samples) != image.pixels.size()) {
    bad_argument(file + ": image.pixels",
                 str_cat("height ", image.height, " x width ", image.width, " x channels ", image.channels,
                         " = ", samples),
                 str_cat(image.pixels.size()));
  }
  return row;
}

}  // namespace

void write_png(const std::filesystem::path& path, const Image& image) {
  as_errors(path.string(), [&] {
    const std::int64_t row = check(path.string(), image);
    // The simplified interface of libpng handles its errors (a longjmp) within the call.
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = static_cast<png_uint_32>(image.width);
    png.height = static_cast<png_uint_32>(image.height);
    png.format = image.channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(png);
    std::vector<std::byte> bytes(size);
    const bool done = png_image_write_to_memory(&png, bytes.data(), &size, 0, image.pixels.data(),
                                                static_cast<png_int_32>(row), nullptr) != 0;
    if (!done) throw_io_error(path.string(), "encode it as PNG", printable(png.message));

    AtomicFile out(path);
    out.write(std::span(bytes).first(size));
    out.commit();
  });
}

}  // namespace plasticity::io
