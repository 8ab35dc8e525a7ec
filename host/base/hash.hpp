#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace plasticity {

/// Computes the FNV-1a hash of the bytes that it gets.
class Hash {
 public:
  void add(std::string_view bytes) {
    for (const char byte : bytes) value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

/// Returns a checksum of the bits of `values`, elements of 1, 4 or 8 bytes. A change of one value always
/// changes it.
template <class T>
std::uint64_t checksum(std::span<const T> values) {
  using Bits = std::conditional_t<sizeof(T) == 8, std::uint64_t,
                                  std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint8_t>>;
  const auto join = [](std::uint64_t sum, std::uint64_t bits) { return (sum ^ bits) * 0xff51afd7ed558ccd; };
  constexpr std::size_t chains = 8;  // independent, so that a value does not wait for the one before it
  std::uint64_t sums[chains] = {};
  std::size_t k = 0;
  for (; k + chains <= values.size(); k += chains) {
    for (std::size_t c = 0; c < chains; ++c) sums[c] = join(sums[c], std::bit_cast<Bits>(values[k + c]));
  }
  for (std::size_t c = 0; k < values.size(); ++k, ++c)
    sums[c] = join(sums[c], std::bit_cast<Bits>(values[k]));
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (const std::uint64_t each : sums) sum = join(sum, each);
  return sum;
}

}  // namespace plasticity
