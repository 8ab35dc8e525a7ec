#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "plasticity/io/idx.hpp"

namespace plasticity::images {

enum class Split { train, test };

/// The source of pictures that the program draws.
inline constexpr const char* drawn_source = "pictures drawn by the program";

/// Pictures to remember: characters of Omniglot, Fashion-MNIST, or pictures drawn by the program.
class Pictures {
 public:
  /// Reads a split from `data`. An IDX file has the drawings of Omniglot, 20 per character: the characters of
  /// its 30 background alphabets are for training, those of the other 20 for the test. A folder has the
  /// files of Fashion-MNIST (train-images-idx3-ubyte and t10k-images-idx3-ubyte, plain or .gz). The word
  /// "drawn" draws shapes. If `data` is empty, the installed Omniglot is used, or shapes without it. `size`
  /// is the pixels per side: 14 or 28. Throws Error(invalid_argument | io | format).
  Pictures(const std::filesystem::path& data, Split split, std::int64_t size);

  std::int64_t count() const { return images_.count; }
  std::int64_t size() const { return size_; }
  std::int64_t pixels() const { return size_ * size_; }
  const std::string& source() const { return source_; }
  /// Returns a checksum of all pictures.
  std::uint64_t checksum() const;

  /// Writes picture `index` as values in [-1,1]: subtracts the mean, then divides by the largest magnitude.
  /// Characters fill the frame and their strokes are bold.
  void load(std::int64_t index, std::span<float> values) const;

 private:
  struct Frame {
    double top, left, height, width;
  };
  /// The part of picture `index` that load() shows.
  Frame frame_of(std::span<const std::uint8_t> picture) const;

  io::Images images_;
  std::int64_t size_;
  bool characters_ = false;
  std::string source_;
};

}  // namespace plasticity::images
