#include "tool/cli/images/pictures.hpp"

#include <algorithm>
#include <cmath>

#include "base/hash.hpp"
#include "base/random.hpp"
#include "base/throw_error.hpp"

namespace plasticity::images {
namespace {

constexpr std::int64_t side = 28;  // pixels per side of a picture of Fashion-MNIST and of a drawn one

// Omniglot
constexpr std::int64_t drawings = 20;                // of each character
constexpr std::int64_t background_characters = 964;  // the first ones of the file: 30 alphabets
constexpr std::uint8_t ink = 100;                    // pixels of at least this count as ink
constexpr double narrowest = .6;                     // least ratio of the sides of a character's frame
constexpr double margin = .06;                       // around a character, as a share of the frame
constexpr double boldness = 2;                       // a pixel half covered by ink is white

/// Returns the file of a split in a folder, or an empty path.
std::filesystem::path find_file(const std::filesystem::path& folder, Split split) {
  const std::string name = split == Split::train ? "train-images-idx3-ubyte" : "t10k-images-idx3-ubyte";
  for (const char* ending : {"", ".gz"}) {
    if (std::error_code error; std::filesystem::exists(folder / (name + ending), error))
      return folder / (name + ending);
  }
  return {};
}

/// The Omniglot of an installed tool, in share/plasticity beside its bin; an empty path if it is not there.
std::filesystem::path installed_characters() {
  std::error_code error;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path file =
      program.parent_path().parent_path() / "share/plasticity/omniglot-35x35-idx3-ubyte.gz";
  return !error && std::filesystem::exists(file, error) ? file : std::filesystem::path();
}

/// The characters of a split.
io::Images read_characters(const std::filesystem::path& file, Split split) {
  io::Images images = io::read_idx_images(file);
  constexpr std::int64_t first_test = background_characters * drawings;
  if (images.count <= first_test || images.rows != images.columns) {
    throw_error(ErrorCode::format, file.string(),
                str_cat("more than ", first_test, " square drawings of characters"),
                str_cat(images.count, " of ", images.rows, "x", images.columns));
  }
  const auto cut = images.pixels.begin() + first_test * images.rows * images.columns;
  if (split == Split::train) {
    images.pixels.erase(cut, images.pixels.end());
    images.count = first_test;
  } else {
    images.pixels.erase(images.pixels.begin(), cut);
    images.count -= first_test;
  }
  return images;
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

Pictures::Pictures(const std::filesystem::path& data, Split split, std::int64_t size) : size_(size) {
  if (size != 14 && size != 28) bad_argument("size", "14 or 28", str_cat(size));
  const std::filesystem::path given = data.empty() ? installed_characters() : data;
  std::error_code error;
  if (given.empty() || given == "drawn") {
    images_ = draw_pictures(split);
    source_ = drawn_source;
  } else if (std::filesystem::is_regular_file(given, error)) {
    images_ = read_characters(given, split);
    characters_ = true;
    source_ = "Omniglot";
  } else if (const std::filesystem::path file = find_file(given, split); !file.empty()) {
    images_ = io::read_idx_images(file);
    if (images_.rows != side || images_.columns != side || images_.count < 3) {
      throw_error(ErrorCode::format, file.string(), "at least 3 pictures of 28x28",
                  str_cat(images_.count, " of ", images_.rows, "x", images_.columns));
    }
    source_ = "Fashion-MNIST";
  } else {
    throw_error(
        ErrorCode::io, given.string(),
        "the IDX file of Omniglot, or a folder with train-images-idx3-ubyte and t10k-images-idx3-ubyte "
        "(or .gz)",
        "neither");
  }
}

std::uint64_t Pictures::checksum() const {
  return plasticity::checksum(std::span<const std::uint8_t>(images_.pixels));
}

Pictures::Frame Pictures::frame_of(std::span<const std::uint8_t> picture) const {
  const std::int64_t rows = images_.rows;
  if (!characters_) return {0, 0, static_cast<double>(rows), static_cast<double>(rows)};
  std::int64_t top = rows, bottom = 0, left = rows, right = 0;
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < rows; ++x) {
      if (picture[static_cast<std::size_t>(y * rows + x)] < ink) continue;
      top = std::min(top, y);
      bottom = std::max(bottom, y + 1);
      left = std::min(left, x);
      right = std::max(right, x + 1);
    }
  }
  if (bottom <= top) return {0, 0, static_cast<double>(rows), static_cast<double>(rows)};
  const double high = static_cast<double>(bottom - top), wide = static_cast<double>(right - left);
  const double height = std::max(high, narrowest * wide) * (1 + 2 * margin);
  const double width = std::max(wide, narrowest * high) * (1 + 2 * margin);
  return {static_cast<double>(top + bottom) / 2 - height / 2,
          static_cast<double>(left + right) / 2 - width / 2, height, width};
}

void Pictures::load(std::int64_t index, std::span<float> values) const {
  const std::int64_t rows = images_.rows;
  const std::span<const std::uint8_t> picture(images_.pixels.data() + index * rows * rows,
                                              static_cast<std::size_t>(rows * rows));
  const Frame frame = frame_of(picture);
  const double high = frame.height / static_cast<double>(size_),
               wide = frame.width / static_cast<double>(size_);
  // The mean of the stored pixels under a shown one. Outside the picture there is no ink.
  const auto mean_over = [&](double top, double left) {
    double sum = 0;
    const auto first = [](double at) { return std::max<std::int64_t>(0, static_cast<std::int64_t>(at)); };
    for (std::int64_t y = first(top); y < rows && static_cast<double>(y) < top + high; ++y) {
      for (std::int64_t x = first(left); x < rows && static_cast<double>(x) < left + wide; ++x) {
        const auto at_y = static_cast<double>(y), at_x = static_cast<double>(x);
        sum += (std::min(top + high, at_y + 1) - std::max(top, at_y)) *
               (std::min(left + wide, at_x + 1) - std::max(left, at_x)) *
               picture[static_cast<std::size_t>(y * rows + x)];
      }
    }
    return sum / (high * wide);
  };
  double mean = 0;
  for (std::int64_t y = 0; y < size_; ++y) {
    for (std::int64_t x = 0; x < size_; ++x) {
      double value =
          mean_over(frame.top + static_cast<double>(y) * high, frame.left + static_cast<double>(x) * wide);
      if (characters_) value = std::min(255., boldness * value);
      values[static_cast<std::size_t>(y * size_ + x)] = static_cast<float>(value);
      mean += value / static_cast<double>(size_ * size_);
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
