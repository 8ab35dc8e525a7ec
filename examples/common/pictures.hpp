#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace examples {

/// Grey pictures of 28x28 in classes.
struct Pictures {
  static constexpr std::size_t side = 28;
  std::size_t classes = 0;
  std::vector<std::uint8_t> pixels;  // [count,side,side]
  std::vector<std::size_t> labels;   // [count] 0..classes-1
  std::string source;

  std::size_t count() const { return labels.size(); }

  /// The numbers of the pictures of each class.
  std::vector<std::vector<std::size_t>> by_class() const;

  /// Picture `index`, turned by `quarter` right angles, as values in [-1,1]: 2x2 averages where `values` is
  /// 14x14, the mean subtracted, then the largest magnitude 1.
  void load(std::size_t index, std::span<float> values, std::size_t quarter = 0) const;
};

/// Fashion-MNIST, 10 classes, from Debian's package dataset-fashion-mnist; where it is not installed,
/// pictures drawn by the program: ten classes of a few strokes, each picture with strokes of its own bent,
/// moved and shaded.
Pictures fashion_mnist(bool test);

/// Omniglot as it is distributed: every folder below `folder` that holds PNG pictures is a class (a
/// character). Averaged down to 28x28, ink bright. Throws std::runtime_error where there are fewer than 20
/// classes, a class of one picture, or a PNG file that is not one.
Pictures omniglot(const std::filesystem::path& folder);

}  // namespace examples
