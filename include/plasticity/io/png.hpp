#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <filesystem>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// An sRGB image with 8 bits per sample. Rows are stored from the top, the channels of a pixel side by side.
struct Image {
  std::int64_t width = 0;            ///< in pixels, 1 to 1,000,000
  std::int64_t height = 0;           ///< in pixels, 1 to 1,000,000
  int channels = 1;                  ///< 1: grey; 3: red, green, blue
  std::vector<std::uint8_t> pixels;  ///< [height,width,channels], at most 2^30 samples
};

/// Writes an image as a PNG file, losslessly and atomically as save(). Throws Error(invalid_argument) if a
/// size or the number of channels is out of range or does not match `pixels`, Error(io) if the file cannot be
/// written, and Error(out_of_memory). The message names the file.
PLASTICITY_API void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace plasticity::io
