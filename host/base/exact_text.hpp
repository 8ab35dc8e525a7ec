#pragma once

#include <array>
#include <charconv>
#include <string>

namespace plasticity {

/// Returns the shortest text that parses to the same number.
inline std::string exact_text(double value) {
  std::array<char, 32> buffer;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return std::string(buffer.data(), end);
}

}  // namespace plasticity
