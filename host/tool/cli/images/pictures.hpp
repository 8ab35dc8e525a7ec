#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "plasticity/io/idx.hpp"

namespace plasticity::images {

enum class Split { train, test };

/// Pictures to remember: Fashion-MNIST from IDX files, or pictures drawn by the program.
class Pictures {
 public:
  /// Reads the file of the split from `folder` (train-images-idx3-ubyte or t10k-images-idx3-ubyte, plain or
  /// .gz). An empty `folder` is that of Debian's package dataset-fashion-mnist; if it is not installed, the
  /// program draws pictures. The name "drawn" always draws. `size` is 14 (2x2 averages) or 28 pixels per
  /// side. Throws Error(invalid_argument | io | format).
  Pictures(const std::filesystem::path& folder, Split split, std::int64_t size);

  std::int64_t count() const { return images_.count; }
  std::int64_t size() const { return size_; }
  std::int64_t pixels() const { return size_ * size_; }
  const std::string& source() const { return source_; }

  /// Writes picture `index` as values in [-1,1]: subtracts the mean, then divides by the largest magnitude.
  void load(std::int64_t index, std::span<float> values) const;

 private:
  io::Images images_;
  std::int64_t size_;
  std::string source_;
};

}  // namespace plasticity::images
