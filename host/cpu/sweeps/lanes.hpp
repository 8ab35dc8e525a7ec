#pragma once

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

// Vectors of the instruction set that the including file is compiled for (compiler vector extensions).
// Everything is in an unnamed namespace, so that the linker cannot merge a function compiled for AVX with the
// baseline one.
namespace plasticity::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int vector_bytes = 64;
#elif defined(__AVX2__)
constexpr int vector_bytes = 32;
#else
constexpr int vector_bytes = 16;
#endif

template <class Number, int bytes = vector_bytes, bool is_scalar = (bytes == sizeof(Number))>
struct VectorOf {
  typedef Number type __attribute__((vector_size(bytes)));
};
template <class Number, int bytes>
struct VectorOf<Number, bytes, true> {
  using type = Number;
};
template <class Number>
using Vector = typename VectorOf<Number>::type;

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

/// A non-temporal store to aligned memory if the processor has one, otherwise store().
template <class V, class Real>
inline void store_non_temporal(Real* destination, V value) {
#if defined(__AVX512F__)
  _mm512_stream_si512(reinterpret_cast<__m512i*>(destination), std::bit_cast<__m512i>(value));
#elif defined(__AVX2__)
  _mm256_stream_si256(reinterpret_cast<__m256i*>(destination), std::bit_cast<__m256i>(value));
#elif defined(__SSE2__)
  _mm_stream_si128(reinterpret_cast<__m128i*>(destination), std::bit_cast<__m128i>(value));
#else
  store(destination, value);
#endif
}
/// Orders the non-temporal stores before later stores, as seen by other threads.
inline void fence_non_temporal_stores() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

// Without this attribute a loop body is a separate function and reloads its pointers after every store.
#define PLASTICITY_INLINE __attribute__((always_inline))

template <class V, int count, class Real>
inline void load_block(V (&block)[count], const Real* source) {
  for (int k = 0; k < count; ++k) block[k] = load<V>(source + k * lanes<V>);
}

template <class V, int count, class Real>
inline void store_block(Real* destination, const V (&block)[count]) {
  for (int k = 0; k < count; ++k) store(destination + k * lanes<V>, block[k]);
}

template <class V, int count, class Real>
inline void add_block(Real* destination, const V (&block)[count]) {
  for (int k = 0; k < count; ++k) {
    store(destination + k * lanes<V>, load<V>(destination + k * lanes<V>) + block[k]);
  }
}

/// The lane of a half of blocks (half_blocks) at place `lane`, of a then b.
template <int block, int part>
constexpr int lane_of_half(std::size_t lane) {
  constexpr int half = block / 2;
  const int place = static_cast<int>(lane);
  return place / half * block + place % half + part * half;
}

/// One half (`part` 0 or 1) of every block of `block` lanes of a, then of b.
template <int block, int part, class V, std::size_t... lane>
PLASTICITY_INLINE inline V half_blocks(V a, V b, std::index_sequence<lane...>) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, lane_of_half<block, part>(lane)...);
#else
  using Index = std::conditional_t<sizeof(V{}[0]) == 4, std::int32_t, std::int64_t>;
  return __builtin_shuffle(a, b,
                           typename VectorOf<Index, sizeof(V)>::type{lane_of_half<block, part>(lane)...});
#endif
}

/// Adds the two halves of every block of `block` lanes: first the sums of a, then those of b.
template <int block, class V>
PLASTICITY_INLINE inline V fold(V a, V b) {
  constexpr std::make_index_sequence<static_cast<std::size_t>(lanes<V>)> all{};
  return half_blocks<block, 0>(a, b, all) + half_blocks<block, 1>(a, b, all);
}

/// Reduces each block of a vector to one number. The numbers are in the first lanes.
template <int block, class V>
PLASTICITY_INLINE inline V fold_all(V value) {
  if constexpr (block > 1) {
    return fold_all<block / 2>(fold<block>(value, value));
  } else {
    return value;
  }
}

/// Stores the lane sums of the first `count` of four vectors.
template <class V, class Real>
PLASTICITY_INLINE inline void store_sums(Real* sums, const V (&value)[4], std::int64_t count) {
  constexpr int n = lanes<V>;
  Real each[4];
  const V first = fold<n>(value[0], value[1]), second = fold<n>(value[2], value[3]);
  if constexpr (n == 2) {
    store(each, first);
    store(each + 2, second);
  } else {
    const V all = fold_all<n / 4>(fold<n / 2>(first, second));
    std::memcpy(each, &all, sizeof(each));
  }
  std::memcpy(sums, each, static_cast<std::size_t>(count) * sizeof(Real));
}

}  // namespace
}  // namespace plasticity::cpu
