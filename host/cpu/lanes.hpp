#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

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

// Without this a loop body would be a function of its own, and would read its pointers again after every
// store.
#define PLASTICITY_INLINE __attribute__((always_inline))

template <class V, int count, class Real>
inline void load_block(V (&block)[count], const Real* source) {
  for (int k = 0; k < count; ++k) block[k] = load<V>(source + k * lanes<V>);
}

}  // namespace
}  // namespace plasticity::cpu
