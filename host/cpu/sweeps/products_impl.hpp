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
using TwoFloats = VectorOf<float, 8>::type;  // has no instruction of its own
PLASTICITY_INLINE inline TwoFloats fused(TwoFloats a, TwoFloats b, TwoFloats c) {
  return TwoFloats{fused(a[0], b[0], c[0]), fused(a[1], b[1], c[1])};
}
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

// The sum of outer products over samples, in the order of base/tree.hpp. A block of C, at most `outer_rows` x
// `outer_vectors` vectors, has one partial sum per level of the tree in memory, which stays in the L1 and L2
// caches. The sum of a sample is computed in registers, in tiles as above, and reads the sample's rows of B
// from the L1 cache.
constexpr std::int64_t outer_rows = 32;
constexpr int outer_tile_rows = 6, outer_vectors = vector_bytes == 64 ? 4 : 2;

/// Adds the outer products of rows k .. k_end-1 to rows m .. m_end-1 of a block. `sum` is row m of the block.
/// Without `add` the block is overwritten.
template <int rows, class V, int count, class Real, class A, class B>
PLASTICITY_INLINE inline void outer_rows_of(std::int64_t k_begin, std::int64_t k_end, bool add, A a, B b,
                                            std::int64_t m, std::int64_t m_end, std::int64_t n, Real* sum) {
  constexpr std::int64_t width = count * lanes<V>;
  for (; m + rows <= m_end; m += rows, sum += rows * width) {
    V s[rows][count]{};
    for (int r = 0; add && r < rows; ++r) load_block(s[r], sum + r * width);
    for (std::int64_t k = k_begin; k < k_end; ++k) {
      V right[count];
      load_block(right, b(k) + n);
      for (int r = 0; r < rows; ++r) {
        const V left = splat<V>(a(m + r, k));
        for (int v = 0; v < count; ++v) s[r][v] = fused(left, right[v], s[r][v]);
      }
    }
    for (int r = 0; r < rows; ++r) store_block(sum + r * width, s[r]);
  }
  if constexpr (rows > 1) {
    outer_rows_of<rows == 2 ? 1 : 2, V, count>(k_begin, k_end, add, a, b, m, m_end, n, sum);
  }
}

/// Writes the sum of samples s .. s+samples-1 to a block.
template <class V, int count, class Real, class A, class B>
void outer_samples(std::int64_t s, std::int64_t samples, const std::int64_t* first_row, A a, B b,
                   std::int64_t m, std::int64_t m_end, std::int64_t n, Real* sum) {
  constexpr std::int64_t width = count * lanes<V>, k_block = 96;
  if (samples == 1) {
    std::int64_t k = first_row[s];
    const std::int64_t end = first_row[s + 1];
    bool add = false;
    do {
      const std::int64_t k_end = k + k_block < end ? k + k_block : end;
      outer_rows_of<outer_tile_rows, V, count>(k, k_end, add, a, b, m, m_end, n, sum);
      k = k_end;
      add = true;
    } while (k < end);
    return;
  }
  alignas(64) Real other[outer_rows * width];
  const std::int64_t left = (samples + 1) / 2, elements = (m_end - m) * width;
  outer_samples<V, count>(s, left, first_row, a, b, m, m_end, n, sum);
  outer_samples<V, count>(s + left, samples - left, first_row, a, b, m, m_end, n, other);
  for (std::int64_t k = 0; k < elements; k += lanes<V>) store(sum + k, load<V>(sum + k) + load<V>(other + k));
}

template <class Real, class A, class B>
void outer_product(std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t samples,
                   const std::int64_t* first_row, A a, B b, Real* c, std::int64_t ldc) {
  for (std::int64_t m = m_begin; m < m_end; m += outer_rows) {
    const std::int64_t end = m + outer_rows < m_end ? m + outer_rows : m_end;
    for_columns<Real, outer_vectors>(N, [=]<class V, int count>(std::int64_t n) {
      constexpr std::int64_t width = count * lanes<V>;
      alignas(64) Real sum[outer_rows * width];
      outer_samples<V, count>(0, samples, first_row, a, b, m, end, n, sum);
      for (std::int64_t row = m; row < end; ++row) {
        V to[count], from[count];
        load_block(to, c + row * ldc + n);
        load_block(from, sum + (row - m) * width);
        for (int v = 0; v < count; ++v) to[v] += from[v];
        store_block(c + row * ldc + n, to);
      }
    });
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
        [](std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t samples,
           const std::int64_t* first_row, const Real* const* a_rows, const Real* const* b_rows,
           std::int64_t b_first, Real* c, std::int64_t ldc) {
          const auto a = [=](std::int64_t m, std::int64_t k) { return a_rows[k][m]; };
          const auto b = [=](std::int64_t k) { return b_rows[k] + b_first; };
          if (samples > 1) return outer_product(m_begin, m_end, N, samples, first_row, a, b, c, ldc);
          // One sample: C is its sum, without a partial one.
          product<Real>(m_begin, m_end, N, samples == 0 ? 0 : first_row[1], a, b,
                        [=](std::int64_t m) { return c + m * ldc; });
        },
};

}  // namespace
}  // namespace plasticity::cpu
