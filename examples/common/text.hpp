#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace examples {

/// A text of bytes, as symbols 0..symbols-1. The last twelfth is the test text, the rest the training text.
class Text {
 public:
  /// Reads a file. An empty name selects the licences in Debian's /usr/share/common-licenses, sorted by name.
  /// The name "generated", or an empty name without licences, selects generated sentences, in which invented
  /// names recur. Throws std::runtime_error if the file cannot be read or is shorter than 10,000 bytes.
  explicit Text(const std::string& file);

  std::size_t symbols() const { return symbols_; }
  std::span<const std::uint8_t> train() const { return std::span(content_).first(train_); }
  std::span<const std::uint8_t> test() const { return std::span(content_).subspan(train_); }
  const std::string& source() const { return source_; }

  /// The chance level: bits per character of the test text if each symbol has its frequency in the training
  /// text.
  double bits_without_context() const;

 private:
  std::vector<std::uint8_t> content_;
  std::size_t symbols_ = 0, train_ = 0;
  std::string source_;
};

}  // namespace examples
