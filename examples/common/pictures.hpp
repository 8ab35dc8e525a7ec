#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace examples {

/// Grey square pictures in classes.
struct Pictures {
  std::size_t side = 28;  // pixels, even
  std::size_t classes = 0;
  std::vector<std::uint8_t> pixels;  // [count,side,side]
  std::vector<std::size_t> labels;   // [count] 0..classes-1
  std::string source;

  std::size_t count() const { return labels.size(); }

  /// The indices of the pictures of each class.
  std::vector<std::vector<std::size_t>> by_class() const;

  /// Writes picture `index`, rotated by `quarter` right angles, to `values`, which is side x side, or half of
  /// that in each direction (2x2 averages). The mean is 0 and the largest magnitude 1.
  void load(std::size_t index, std::span<float> values, std::size_t quarter = 0) const;
};

/// Fashion-MNIST, 10 classes, from Debian's package dataset-fashion-mnist. If it is not installed, the
/// program draws pictures: ten classes of three strokes. Each picture moves the ends of its strokes and
/// varies their shade.
Pictures fashion_mnist(bool test);

/// CIFAR-10 in its binary version: data_batch_1.bin to data_batch_5.bin in `folder`, or test_batch.bin;
/// 32x32, as the luminance of the colours. Throws std::runtime_error for a file that is absent or not of that
/// form.
Pictures cifar10(const std::filesystem::path& folder, bool test);

/// Omniglot in its distributed form: every folder below `folder` that holds PNG pictures is a class (a
/// character). Pictures are averaged to 28x28, with bright ink. Throws std::runtime_error for fewer than 20
/// classes, a class with one picture, or an invalid PNG file.
Pictures omniglot(const std::filesystem::path& folder);

}  // namespace examples
