#pragma once

#include <bit>
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
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (const T value : values) sum = (sum ^ std::bit_cast<Bits>(value)) * 0xff51afd7ed558ccd;
  return sum;
}

}  // namespace plasticity
