#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace plasticity {

/// Returns a checksum of the bits of `values`. A change of one value always changes it.
inline std::uint64_t checksum(std::span<const float> values) {
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (const float value : values) sum = (sum ^ std::bit_cast<std::uint32_t>(value)) * 0xff51afd7ed558ccd;
  return sum;
}

}  // namespace plasticity
