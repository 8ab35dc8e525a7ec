#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "cpu/bfloat16.hpp"

// Vectors of the instruction set that the including file is compiled for (compiler vector extensions), and
// the same operations on a single number for what is left over at the end of a row. Everything is in an
// unnamed namespace: a function compiled for AVX must never stand in for its baseline twin at link time.
namespace plasticity::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class Real, int bytes = vector_bytes>
struct VectorOf {
  typedef Real type __attribute__((vector_size(bytes)));
};
template <class Real>
using Vector = typename VectorOf<Real>::type;

template <class V>
struct LanesOf {
  using Real = std::remove_cvref_t<decltype(V{}[0])>;
  static constexpr int count = sizeof(V) / sizeof(Real);
};
template <>
struct LanesOf<float> {
  using Real = float;
  static constexpr int count = 1;
};
template <>
struct LanesOf<double> {
  using Real = double;
  static constexpr int count = 1;
};
template <class V>
constexpr int lanes = LanesOf<V>::count;

template <class V>
inline V splat(typename LanesOf<V>::Real value) {
  return value - V{};  // keeps the sign of a zero, unlike value + V{}
}

template <class V, class Real>
inline V load(const Real* source) {
  V value;
  std::memcpy(&value, source, sizeof(V));
  return value;
}

template <class V, class Real>
inline void store(Real* destination, V value) {
  std::memcpy(destination, &value, sizeof(V));
}

template <class V>
inline V load(const Bfloat16* source) {
  if constexpr (lanes<V> == 1) {
    return to_float(*source);
  } else {
    using Half = typename VectorOf<std::uint16_t, sizeof(V) / 2>::type;
    using Word = typename VectorOf<std::uint32_t, sizeof(V)>::type;
    Half half;
    std::memcpy(&half, source, sizeof half);
    return std::bit_cast<V>(__builtin_convertvector(half, Word) << 16);
  }
}

/// As to_bfloat16(), lane by lane.
template <class V>
inline void store(Bfloat16* destination, V value) {
  if constexpr (lanes<V> == 1) {
    *destination = to_bfloat16(value);
  } else {
    using Half = typename VectorOf<std::uint16_t, sizeof(V) / 2>::type;
    using Word = typename VectorOf<std::uint32_t, sizeof(V)>::type;
    const auto bits = std::bit_cast<Word>(value);
    const Word rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    const Word quiet = (bits >> 16) | 0x40u;
    const auto nan = std::bit_cast<Word>(value != value);
    const Half half = __builtin_convertvector((rounded & ~nan) | (quiet & nan), Half);
    std::memcpy(destination, &half, sizeof half);
  }
}

/// What a load gives back after a store of `value`: the trace as the next step will see it.
template <class V, class Trace>
inline V stored(Trace* destination, V value) {
  store(destination, value);
  if constexpr (std::is_same_v<Trace, Bfloat16>) {
    return load<V>(destination);
  } else {
    return value;
  }
}

}  // namespace
}  // namespace plasticity::cpu
