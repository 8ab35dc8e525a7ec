#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// An image of 8 bits a sample, sRGB, row by row from the top, the channels of a pixel side by side.
struct Image {
  std::int64_t width = 0;            ///< pixels, 1 to 1,000,000
  std::int64_t height = 0;           ///< pixels, 1 to 1,000,000
  int channels = 1;                  ///< 1 grey, 3 red green blue
  std::vector<std::uint8_t> pixels;  ///< [height,width,channels], at most 2^30 samples
};

/// Writes an image as PNG, without loss. The file is there completely or not at all, as with save().
/// Throws Error: invalid_argument (a size or the number of channels out of range, or not matching `pixels`),
/// io (cannot be written), out_of_memory. The message names the file.
PLASTICITY_API void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace plasticity::io
