#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "plasticity/config.h"

namespace plasticity::io {

/// Grey images of one size, 8 bits a pixel.
struct Images {
  std::int64_t count = 0;            ///< 0 is possible
  std::int64_t rows = 0;             ///< pixels, at least 1
  std::int64_t columns = 0;          ///< pixels, at least 1
  std::vector<std::uint8_t> pixels;  ///< [count,rows,columns]
};

/// Reads images of the IDX format (MNIST, Fashion-MNIST): magic 0x00000803, count, rows and columns as
/// big-endian 32-bit numbers, then one byte a pixel; plain or compressed with gzip. At most 4 GiB of pixels.
/// Memory in use follows the data that is there, not the numbers in the header. Throws Error: io (cannot be
/// read), format (not such a file, damaged, cut off, or with data left over), unsupported (IDX with elements
/// that are not bytes), out_of_memory. The message names the file.
PLASTICITY_API Images read_idx_images(const std::filesystem::path& path);

/// Reads the labels that belong to such images, one byte each: magic 0x00000801, count, then the labels;
/// plain or compressed with gzip, at most 4 GiB. Throws as read_idx_images().
PLASTICITY_API std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& path);

}  // namespace plasticity::io
