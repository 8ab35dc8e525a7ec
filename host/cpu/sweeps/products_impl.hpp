#pragma once

#include "cpu/sweeps/lanes.hpp"
#include "cpu/sweeps/products.hpp"
#include "rules/arithmetic.hpp"

// The dense products for the instruction set that the including file is compiled for. Every element of C is
// one chain of multiply-adds in order of k, independent of its tile. They are fused if the instruction set
// has FMA.
namespace plasticity::cpu {
namespace {

/// a b + c, for vectors of any width and for single numbers.
template <class V>
PLASTICITY_INLINE inline V fused(V a, V b, V c) {
  return multiply_add(a, b, c);
}
#ifdef __FMA__
PLASTICITY_INLINE inline float fused(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
PLASTICITY_INLINE inline double fused(double a, double b, double c) { return __builtin_fma(a, b, c); }
PLASTICITY_INLINE inline __m128 fused(__m128 a, __m128 b, __m128 c) { return _mm_fmadd_ps(a, b, c); }
PLASTICITY_INLINE inline __m128d fused(__m128d a, __m128d b, __m128d c) { return _mm_fmadd_pd(a, b, c); }
#endif
#ifdef __AVX512F__
PLASTICITY_INLINE inline __m256 fused(__m256 a, __m256 b, __m256 c) { return _mm256_fmadd_ps(a, b, c); }
PLASTICITY_INLINE inline __m256d fused(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
#endif

/// Computes a tile of C, `rows` x `count` vectors in registers, over k_begin <= k < k_end. a(m, k) is an
/// element of A, b(k) and c(m) are rows of B and C.
template <int rows, class V, int count, class A, class B, class C>
PLASTICITY_INLINE inline void product_tile(std::int64_t k_begin, std::int64_t k_end, const A a, const B b,
                                           const C c, std::int64_t m, std::int64_t n) {
  V sum[rows][count];
  for (int r = 0; r < rows; ++r) load_block(sum[r], c(m + r) + n);
  for (std::int64_t k = k_begin; k < k_end; ++k) {
    V right[count];
    load_block(right, b(k) + n);
    for (int r = 0; r < rows; ++r) {
      const V left = splat<V>(a(m + r, k));
      for (int v = 0; v < count; ++v) sum[r][v] = fused(left, right[v], sum[r][v]);
    }
  }
  for (int r = 0; r < rows; ++r) store_block(c(m + r) + n, sum[r]);
}

/// Calls body<V, count>(n) for blocks of `wide` vectors, then for smaller blocks and narrower vectors down to
/// one column.
template <class Real, int wide, int bytes = vector_bytes, class Body>
PLASTICITY_INLINE inline void for_columns(std::int64_t N, Body body, std::int64_t n = 0) {
  using V = typename VectorOf<Real, bytes>::type;
  for (; n + wide * lanes<V> <= N; n += wide * lanes<V>) body.template operator()<V, wide>(n);
  if constexpr (wide > 1) {
    for_columns<Real, wide / 2, bytes>(N, body, n);
  } else if constexpr (bytes > static_cast<int>(sizeof(Real))) {
    for_columns<Real, 1, bytes / 2>(N, body, n);
  }
}

/// Computes rows m_begin .. M-1 of C in tiles of `rows` rows, then the remaining rows in smaller tiles. The
/// sums of a tile fit in registers.
template <class Real, int rows, class A, class B, class C>
PLASTICITY_INLINE inline void product_rows(std::int64_t m_begin, std::int64_t M, std::int64_t N,
                                           std::int64_t k, std::int64_t k_end, A a, B b, C c) {
  constexpr int registers = vector_bytes == 64 ? 24 : 12;
  constexpr int wide = rows == 1 ? 8 : rows == 2 ? 4 : registers / rows;
  const std::int64_t m_rows = m_begin + (M - m_begin) / rows * rows;
  if (m_begin < m_rows) {
    for_columns<Real, wide>(N, [=]<class V, int count>(std::int64_t n) PLASTICITY_INLINE {
      for (std::int64_t m = m_begin; m < m_rows; m += rows)
        product_tile<rows, V, count>(k, k_end, a, b, c, m, n);
    });
  }
  if constexpr (rows > 1) product_rows<Real, rows == 2 ? 1 : 2>(m_rows, M, N, k, k_end, a, b, c);
}

template <class Real, class A, class B, class C>
PLASTICITY_INLINE inline void product(std::int64_t m_begin, std::int64_t M, std::int64_t N, std::int64_t K,
                                      A a, B b, C c) {
  constexpr std::int64_t k_block = 96;  // rows of B per pass: a tile's columns of them fit in the L1 cache
  for (std::int64_t k = 0; k < K; k += k_block) {
    product_rows<Real, 6>(m_begin, M, N, k, k + k_block < K ? k + k_block : K, a, b, c);
  }
}

template <class Real>
constexpr Products<Real> product_table{
    .multiply =
        [](std::int64_t M, std::int64_t N, std::int64_t K, const Real* a, std::int64_t lda, const Real* b,
           std::int64_t ldb, Real* c, std::int64_t ldc) {
          product<Real>(
              0, M, N, K, [=](std::int64_t m, std::int64_t k) { return a[m * lda + k]; },
              [=](std::int64_t k) { return b + k * ldb; }, [=](std::int64_t m) { return c + m * ldc; });
        },
    .multiply_rows =
        [](std::int64_t M, std::int64_t N, std::int64_t K, const Real* const* a_rows, const Real* b,
           std::int64_t ldb, Real* const* c_rows) {
          product<Real>(
              0, M, N, K, [=](std::int64_t m, std::int64_t k) { return a_rows[m][k]; },
              [=](std::int64_t k) { return b + k * ldb; }, [=](std::int64_t m) { return c_rows[m]; });
        },
    .outer =
        [](std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t K,
           const Real* const* a_rows, const Real* const* b_rows, std::int64_t b_first, Real* c,
           std::int64_t ldc) {
          product<Real>(
              m_begin, m_end, N, K, [=](std::int64_t m, std::int64_t k) { return a_rows[k][m]; },
              [=](std::int64_t k) { return b_rows[k] + b_first; },
              [=](std::int64_t m) { return c + m * ldc; });
        },
};

}  // namespace
}  // namespace plasticity::cpu
