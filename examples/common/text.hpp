#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace examples {

/// A text of bytes, as symbols 0..symbols-1: its last twelfth is for testing, the rest for training.
class Text {
 public:
  /// Reads a file. An empty name: the licences in Debian's /usr/share/common-licenses, in the order of their
  /// names, or where they are not, and for the name "generated", sentences that the program makes up, in
  /// which new names are introduced and come back. Throws std::runtime_error for a file that cannot be read
  /// or is shorter than 10,000 bytes.
  explicit Text(const std::string& file);

  std::size_t symbols() const { return symbols_; }
  std::span<const std::uint8_t> train() const { return std::span(content_).first(train_); }
  std::span<const std::uint8_t> test() const { return std::span(content_).subspan(train_); }
  const std::string& source() const { return source_; }

  /// Bits per character of the test text for one who knows only how often each symbol is in the training
  /// text: the chance level.
  double bits_without_context() const;

 private:
  std::vector<std::uint8_t> content_;
  std::size_t symbols_ = 0, train_ = 0;
  std::string source_;
};

}  // namespace examples
