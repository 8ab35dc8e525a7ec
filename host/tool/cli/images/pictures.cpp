#include "tool/cli/images/pictures.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "base/throw_error.hpp"

namespace plasticity::images {
namespace {

constexpr std::int64_t side = 28;  // pixels per side of a stored picture
const std::filesystem::path debian_folder = "/usr/share/datasets/fashion-mnist";

/// Returns the file of a split in a folder, or an empty path.
std::filesystem::path find_file(const std::filesystem::path& folder, Split split) {
  const std::string name = split == Split::train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";
  for (const char* ending : {"", ".gz"}) {
    if (std::error_code error; std::filesystem::exists(folder / (name + ending), error))
      return folder / (name + ending);
  }
  return {};
}

/// Draws pictures of two to four bright shapes on black: ellipses, bars and rings of random position, size
/// and shade.
io::Images draw_pictures(Split split) {
  const std::int64_t count = split == Split::train ? 20000 : 4000;
  io::Images images{count, side, side,
                    std::vector<std::uint8_t>(static_cast<std::size_t>(count * side * side))};
  for (std::int64_t index = 0; index < count; ++index) {
    Random random(split == Split::train ? 1 : 2, static_cast<std::uint64_t>(index));
    std::uint8_t* pixels = images.pixels.data() + index * side * side;
    const std::int64_t shapes = 2 + random.below(3);
    for (std::int64_t shape = 0; shape < shapes; ++shape) {
      const std::int64_t kind = random.below(3);
      const double x0 = random.uniform(5, 23), y0 = random.uniform(5, 23), shade = random.uniform(110, 255);
      const double width = random.uniform(3, 10), height = random.uniform(3, 10),
                   turn = random.uniform(0, 3.14159265);
      for (std::int64_t y = 0; y < side; ++y) {
        for (std::int64_t x = 0; x < side; ++x) {
          const double dx = static_cast<double>(x) - x0, dy = static_cast<double>(y) - y0;
          const double a = (dx * std::cos(turn) + dy * std::sin(turn)) / width;
          const double b = (dy * std::cos(turn) - dx * std::sin(turn)) / height;
          const double radius = std::sqrt(a * a + b * b);
          const bool inside = kind == 0   ? radius < 1
                              : kind == 1 ? std::abs(a) < 1 && std::abs(b) < .4
                                          : radius < 1 && radius > .55;
          if (inside) pixels[y * side + x] = static_cast<std::uint8_t>(shade);
        }
      }
    }
  }
  return images;
}

}  // namespace

Pictures::Pictures(const std::filesystem::path& folder, Split split, std::int64_t size) : size_(size) {
  if (size != 14 && size != 28) bad_argument("size", "14 or 28", str_cat(size));
  const bool drawn = folder == "drawn";
  const std::filesystem::path file =
      drawn ? std::filesystem::path() : find_file(folder.empty() ? debian_folder : folder, split);
  if (!file.empty()) {
    images_ = io::read_idx_images(file);
    if (images_.rows != side || images_.columns != side || images_.count < 3) {
      throw_error(ErrorCode::format, file.string(), "at least 3 pictures of 28x28",
                  str_cat(images_.count, " of ", images_.rows, "x", images_.columns));
    }
    source_ = "Fashion-MNIST";
  } else if (drawn || folder.empty()) {
    images_ = draw_pictures(split);
    source_ = "pictures drawn by the program";
    if (!drawn) source_ += " (Fashion-MNIST is not installed: Debian package dataset-fashion-mnist)";
  } else {
    throw_error(ErrorCode::io, folder.string(),
                "a folder with train-images-idx3-ubyte and t10k-images-idx3-ubyte (or .gz)",
                "a folder without them");
  }
}

void Pictures::load(std::int64_t index, std::span<float> values) const {
  const std::uint8_t* pixels = images_.pixels.data() + index * side * side;
  const std::int64_t block = side / size_;
  double mean = 0;
  for (std::int64_t y = 0; y < size_; ++y) {
    for (std::int64_t x = 0; x < size_; ++x) {
      double sum = 0;
      for (std::int64_t dy = 0; dy < block; ++dy) {
        for (std::int64_t dx = 0; dx < block; ++dx) sum += pixels[(y * block + dy) * side + x * block + dx];
      }
      values[static_cast<std::size_t>(y * size_ + x)] = static_cast<float>(sum);
      mean += sum / static_cast<double>(size_ * size_);
    }
  }
  float largest = 0;
  for (float& value : values) {
    value -= static_cast<float>(mean);
    largest = std::max(largest, std::abs(value));
  }
  if (largest == 0) return;  // a uniform picture is all zero
  for (float& value : values) value /= largest;
}

}  // namespace plasticity::images
