#include "common/pictures.hpp"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <map>
#include <plasticity/plasticity.hpp>
#include <stdexcept>

#include "common/random.hpp"

namespace examples {
namespace {

constexpr std::size_t side = 28, area = side * side;  // of all but CIFAR-10

/// Draws bright strokes on black. A class is three strokes; each picture moves their ends.
Pictures draw_pictures(bool test) {
  constexpr std::size_t classes = 10, strokes = 3;
  Pictures pictures{side, classes, {}, {}, "pictures drawn by the program (Fashion-MNIST is not installed)"};
  Random class_random(1), picture_random(test ? 3 : 2);
  std::vector<double> ends(classes * strokes * 4);
  for (double& end : ends) end = 4 + 20 * class_random.uniform();
  const std::size_t count = test ? 2000 : 10000;
  pictures.pixels.resize(count * area);
  for (std::size_t index = 0; index < count; ++index) {
    const std::size_t label = index % classes;
    pictures.labels.push_back(label);
    std::uint8_t* picture = pictures.pixels.data() + index * area;
    for (std::size_t stroke = 0; stroke < strokes; ++stroke) {
      double at[4];
      for (std::size_t k = 0; k < 4; ++k) {
        at[k] = ends[(label * strokes + stroke) * 4 + k] + 5 * picture_random.uniform() - 2.5;
      }
      const auto shade = static_cast<std::uint8_t>(150 + picture_random.below(105));
      for (double part = 0; part <= 1; part += .02) {
        const auto x = static_cast<std::size_t>(std::clamp(at[0] + part * (at[2] - at[0]), 0.0, 26.0));
        const auto y = static_cast<std::size_t>(std::clamp(at[1] + part * (at[3] - at[1]), 0.0, 26.0));
        for (const std::size_t place : {y * side + x, y * side + x + 1, (y + 1) * side + x})
          picture[place] = shade;
      }
    }
  }
  return pictures;
}

/// Reads a PNG picture, averaged to 28x28, with bright ink.
std::vector<std::uint8_t> read_png(const std::filesystem::path& path) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (png_image_begin_read_from_file(&image, path.c_str()) == 0)
    throw std::runtime_error(path.string() + ": " + image.message);
  image.format = PNG_FORMAT_GRAY;
  const std::size_t width = image.width, height = image.height;
  std::vector<std::uint8_t> full(PNG_IMAGE_SIZE(image));
  if (width < side || height < side || png_image_finish_read(&image, nullptr, full.data(), 0, nullptr) == 0) {
    png_image_free(&image);
    throw std::runtime_error(path.string() + ": expected a PNG picture of at least 28x28");
  }
  std::vector<std::uint8_t> small(area);
  for (std::size_t y = 0; y < side; ++y) {
    for (std::size_t x = 0; x < side; ++x) {
      double sum = 0, count = 0;
      for (std::size_t row = y * height / side; row < (y + 1) * height / side; ++row) {
        for (std::size_t column = x * width / side; column < (x + 1) * width / side; ++column, ++count) {
          sum += 255 - full[row * width + column];
        }
      }
      small[y * side + x] = static_cast<std::uint8_t>(sum / count);
    }
  }
  return small;
}

}  // namespace

std::vector<std::vector<std::size_t>> Pictures::by_class() const {
  std::vector<std::vector<std::size_t>> members(classes);
  for (std::size_t index = 0; index < count(); ++index) members[labels[index]].push_back(index);
  return members;
}

void Pictures::load(std::size_t index, std::span<float> values, std::size_t quarter) const {
  const std::size_t size = values.size() == side * side ? side : side / 2, block = side / size;
  const std::uint8_t* picture = pixels.data() + index * side * side;
  double mean = 0;
  for (std::size_t y = 0; y < size; ++y) {
    for (std::size_t x = 0; x < size; ++x) {
      const std::size_t last = size - 1;
      const std::size_t from[4][2] = {{y, x}, {last - x, y}, {last - y, last - x}, {x, last - y}};
      const auto [row, column] = from[quarter % 4];
      double sum = 0;
      for (std::size_t k = 0; k < block * block; ++k) {
        sum += picture[(row * block + k / block) * side + column * block + k % block];
      }
      values[y * size + x] = static_cast<float>(sum);
      mean += sum / static_cast<double>(size * size);
    }
  }
  float max_magnitude = 1e-6f;
  for (float& value : values) {
    value -= static_cast<float>(mean);
    max_magnitude = std::max(max_magnitude, std::abs(value));
  }
  for (float& value : values) value /= max_magnitude;
}

Pictures fashion_mnist(bool test) {
  const std::filesystem::path folder = "/usr/share/datasets/fashion-mnist";
  const std::string part = test ? "t10k" : "train";
  std::error_code none;
  if (!std::filesystem::exists(folder / (part + "-images-idx3-ubyte.gz"), none)) return draw_pictures(test);
  plasticity::io::Images images = plasticity::io::read_idx_images(folder / (part + "-images-idx3-ubyte.gz"));
  const std::vector<std::uint8_t> labels =
      plasticity::io::read_idx_labels(folder / (part + "-labels-idx1-ubyte.gz"));
  if (images.rows != side || images.columns != side ||
      static_cast<std::size_t>(images.count) != labels.size()) {
    throw std::runtime_error(folder.string() + ": expected pictures of 28x28 and a label for each");
  }
  Pictures pictures{side, 10, std::move(images.pixels), {labels.begin(), labels.end()}, "Fashion-MNIST"};
  if (*std::max_element(labels.begin(), labels.end()) >= pictures.classes) {
    throw std::runtime_error(folder.string() + ": expected labels from 0 to 9");
  }
  return pictures;
}

Pictures cifar10(const std::filesystem::path& folder, bool test) {
  constexpr std::size_t width = 32, pixels = width * width, record = 1 + 3 * pixels;
  Pictures pictures{width, 10, {}, {}, "CIFAR-10"};
  for (int part = 1; part <= (test ? 1 : 5); ++part) {
    const std::filesystem::path file =
        folder / (test ? "test_batch.bin" : "data_batch_" + std::to_string(part) + ".bin");
    std::ifstream in(file, std::ios::binary);
    if (!in) throw std::runtime_error(file.string() + " cannot be read");
    const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), {});
    if (bytes.empty() || bytes.size() % record != 0) {
      throw std::runtime_error(file.string() + ": expected records of " + std::to_string(record) +
                               " bytes, got " + std::to_string(bytes.size()) + " bytes");
    }
    for (std::size_t at = 0; at < bytes.size(); at += record) {
      const auto byte = [&](std::size_t k) { return static_cast<std::uint8_t>(bytes[at + k]); };
      if (byte(0) >= pictures.classes) {
        throw std::runtime_error(file.string() + ": expected labels from 0 to 9, got " +
                                 std::to_string(byte(0)));
      }
      pictures.labels.push_back(byte(0));
      for (std::size_t k = 1; k <= pixels; ++k) {  // red, green and blue: one plane each
        const double luminance = .299 * byte(k) + .587 * byte(k + pixels) + .114 * byte(k + 2 * pixels);
        pictures.pixels.push_back(static_cast<std::uint8_t>(std::lround(luminance)));
      }
    }
  }
  return pictures;
}

Pictures omniglot(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    throw std::runtime_error(folder.string() + ": expected a folder");
  std::map<std::string, std::vector<std::filesystem::path>> characters;  // in the order of their names
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".png") characters[entry.path().parent_path()].push_back(entry.path());
  }
  if (characters.size() < 20) {
    throw std::runtime_error(folder.string() + ": expected at least 20 folders of PNG pictures, got " +
                             std::to_string(characters.size()));
  }
  Pictures pictures{side, characters.size(), {}, {}, "Omniglot"};
  std::size_t label = 0;
  for (auto& [name, files] : characters) {
    if (files.size() < 2) throw std::runtime_error(name + ": expected at least two pictures of a character");
    std::sort(files.begin(), files.end());
    for (const std::filesystem::path& file : files) {
      const std::vector<std::uint8_t> picture = read_png(file);
      pictures.pixels.insert(pictures.pixels.end(), picture.begin(), picture.end());
      pictures.labels.push_back(label);
    }
    ++label;
  }
  return pictures;
}

}  // namespace examples
