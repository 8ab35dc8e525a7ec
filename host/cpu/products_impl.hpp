#pragma once

#include "cpu/lanes.hpp"
#include "cpu/sweeps.hpp"

// The dense products, for the instruction set that the including file is compiled for. Every element of C is
// one chain of multiply-adds over k in order, whatever tile it falls into, so here the compiler may fuse
// them.
namespace plasticity::cpu {
namespace {

/// A tile of C of `rows` x `count` vectors, kept in registers over all k; a(m, k) and b(k) say where the
/// factors are.
template <int rows, class V, int count, class Real, class A, class B>
PLASTICITY_INLINE inline void product_tile(std::int64_t K, const A a, const B b, std::int64_t m,
                                           std::int64_t n, Real* c, std::int64_t ldc) {
  V sum[rows][count];
  for (int r = 0; r < rows; ++r) load_block(sum[r], c + (m + r) * ldc + n);
  for (std::int64_t k = 0; k < K; ++k) {
    V right[count];
    load_block(right, b(k) + n);
    for (int r = 0; r < rows; ++r) {
      const V left = splat<V>(a(m + r, k));
      for (int v = 0; v < count; ++v) sum[r][v] += left * right[v];
    }
  }
  for (int r = 0; r < rows; ++r) {
    for (int v = 0; v < count; ++v) store(c + (m + r) * ldc + n + v * lanes<V>, sum[r][v]);
  }
}

template <class Real, class A, class B>
inline void product(std::int64_t m, std::int64_t M, std::int64_t N, std::int64_t K, A a, B b, Real* c,
                    std::int64_t ldc) {
  using V = Vector<Real>;
  constexpr int rows = 4, count = 2;
  const auto columns = [&]<int tile_rows> {
    std::int64_t n = 0;
    for (; n + count * lanes<V> <= N; n += count * lanes<V>)
      product_tile<tile_rows, V, count>(K, a, b, m, n, c, ldc);
    for (; n + lanes<V> <= N; n += lanes<V>) product_tile<tile_rows, V, 1>(K, a, b, m, n, c, ldc);
    for (; n < N; ++n) product_tile<tile_rows, Real, 1>(K, a, b, m, n, c, ldc);
  };
  for (; m + rows <= M; m += rows) columns.template operator()<rows>();
  for (; m < M; ++m) columns.template operator()<1>();
}

template <class Real>
constexpr Products<Real> product_table{
    .multiply =
        [](std::int64_t M, std::int64_t N, std::int64_t K, const Real* a, std::int64_t lda, const Real* b,
           std::int64_t ldb, Real* c, std::int64_t ldc) {
          product(
              0, M, N, K, [=](std::int64_t m, std::int64_t k) { return a[m * lda + k]; },
              [=](std::int64_t k) { return b + k * ldb; }, c, ldc);
        },
    .outer =
        [](std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t K,
           const Real* const* a_rows, const Real* const* b_rows, Real* c, std::int64_t ldc) {
          product(
              m_begin, m_end, N, K, [=](std::int64_t m, std::int64_t k) { return a_rows[k][m]; },
              [=](std::int64_t k) { return b_rows[k]; }, c, ldc);
        },
};

}  // namespace
}  // namespace plasticity::cpu
