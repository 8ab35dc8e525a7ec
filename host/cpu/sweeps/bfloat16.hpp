#pragma once

#include <bit>
#include <cstdint>

namespace plasticity::cpu {

/// The upper half of a float: eight exponent bits, seven fraction bits. Used to store traces only.
struct Bfloat16 {
  std::uint16_t bits;
};

inline float to_float(Bfloat16 value) { return std::bit_cast<float>(std::uint32_t{value.bits} << 16); }

/// Rounds to nearest, ties to even. NaN stays NaN.
inline Bfloat16 to_bfloat16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (value != value) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace plasticity::cpu
