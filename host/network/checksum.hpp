#pragma once

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <type_traits>

#include "base/throw_error.hpp"

// Checksums of parameters, by which changes between calls are found.
namespace plasticity {

/// Returns a checksum of the bits of `values`. A change of one value always changes it.
template <class Real>
std::uint64_t checksum(std::span<const Real> values) {
  using Bits = std::conditional_t<sizeof(Real) == sizeof(std::uint64_t), std::uint64_t, std::uint32_t>;
  std::uint64_t sum = 0x9e3779b97f4a7c15;
  for (const Real value : values) sum = (sum ^ std::bit_cast<Bits>(value)) * 0xff51afd7ed558ccd;
  return sum;
}

/// Returns whether PLASTICITY_CHECKS is on in the environment. Throws Error(invalid_argument) if it is
/// neither on nor off.
inline bool checks_requested() {
  const char* variable = std::getenv("PLASTICITY_CHECKS");
  const std::string_view value = variable == nullptr ? "" : variable;
  if (value == "on") return true;
  if (!value.empty() && value != "off")
    bad_argument("PLASTICITY_CHECKS", "on or off", str_cat('\'', value, '\''));
  return false;
}

}  // namespace plasticity
