#pragma once

#include <cstdint>

#include "device/isa.hpp"

namespace plasticity::cpu {

/// Dense products of the non-plastic weights. Matrices are row-major. The product is added to C.
template <class Real>
struct Products {
  /// C[m,n] += sum_k A[m,k] B[k,n], with row strides lda, ldb, ldc.
  void (*multiply)(std::int64_t M, std::int64_t N, std::int64_t K, const Real* a, std::int64_t lda,
                   const Real* b, std::int64_t ldb, Real* c, std::int64_t ldc);
  /// With separate rows of A and C: c_rows[m][n] += sum_k a_rows[m][k] B[k,n].
  void (*multiply_rows)(std::int64_t M, std::int64_t N, std::int64_t K, const Real* const* a_rows,
                        const Real* b, std::int64_t ldb, Real* const* c_rows);
  /// Outer products of pairs of rows: C[m,n] += sum_k a_rows[k][m] b_rows[k][b_first + n] for m_begin <= m <
  /// m_end. The pairs of sample s are first_row[s] .. first_row[s+1]-1, and first_row[0] is 0. Each sample
  /// has one sum, and the sums are added in the order of base/tree.hpp.
  void (*outer)(std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t samples,
                const std::int64_t* first_row, const Real* const* a_rows, const Real* const* b_rows,
                std::int64_t b_first, Real* c, std::int64_t ldc);
};

/// The table for an instruction set.
template <class Real>
const Products<Real>& products(Isa isa);

}  // namespace plasticity::cpu
