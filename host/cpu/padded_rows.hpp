#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/layout.hpp"

// Copies between the rows of a caller's tensors and padded rows (sweeps/layout.hpp).
namespace plasticity::cpu {

/// Copies `count` elements and converts them to the destination's type.
template <class From, class To>
void convert(const From* source, To* destination, std::int64_t count) {
  if constexpr (std::is_same_v<From, To>) {
    if (source != destination) std::copy_n(source, count, destination);
  } else if constexpr (std::is_same_v<To, Bfloat16>) {
    std::transform(source, source + count, destination, [](From value) { return to_bfloat16(value); });
  } else {
    std::transform(source, source + count, destination, [](From value) { return to_float(value); });
  }
}

/// Copies a caller's rows of N into padded rows. Without a source the rows become zero.
template <class From, class To>
void pad_rows(const From* source, std::int64_t rows, std::int64_t N, To* destination) {
  const std::int64_t stride = padded<To>(N);
  for (std::int64_t row = 0; row < rows; ++row) {
    if (source != nullptr) convert(source + row * N, destination + row * stride, N);
    const std::int64_t copied = source == nullptr ? 0 : N;
    std::fill_n(destination + row * stride + copied, stride - copied, To{});
  }
}

/// Copies padded rows into a caller's rows of N. Does nothing without a destination.
template <class Real>
void unpad_rows(const Real* source, std::int64_t rows, std::int64_t N, Real* destination) {
  if (destination == nullptr) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(source + row * padded<Real>(N), N, destination + row * N);
  }
}

/// Address of an element of a caller's tensor, or null if the tensor is absent.
template <class Real>
Real* at(Real* tensor, std::int64_t offset) {
  return tensor == nullptr ? nullptr : tensor + offset;
}

}  // namespace plasticity::cpu
