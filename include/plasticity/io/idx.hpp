#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <filesystem>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// Grey images of the same size with 8 bits per pixel.
struct Images {
  std::int64_t count = 0;            ///< number of images, may be 0
  std::int64_t rows = 0;             ///< height in pixels, at least 1
  std::int64_t columns = 0;          ///< width in pixels, at least 1
  std::vector<std::uint8_t> pixels;  ///< [count,rows,columns]
};

/// Reads images in IDX format (MNIST, Fashion-MNIST): magic number 0x00000803, count, rows and columns as
/// big-endian 32-bit numbers, then one byte per pixel. The file may be compressed with gzip. At most 4 GiB of
/// pixels are read. Memory grows with the data that was read, not with the sizes in the header. Throws
/// Error(io) if the file cannot be read, Error(format) if it is not an IDX file, is damaged, truncated, or
/// has extra data, Error(unsupported) if its elements are not bytes, and Error(out_of_memory). The message
/// names the file.
PLASTICITY_API Images read_idx_images(const std::filesystem::path& path);

/// Reads labels in IDX format: magic number 0x00000801, count, then one byte per label. The file may be
/// compressed with gzip. At most 4 GiB are read. Throws as read_idx_images().
PLASTICITY_API std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

}  // namespace plasticity::io
