#pragma once

#include <cstdint>

#include "cpu/isa.hpp"
#include "plasticity/spec.hpp"

// The inner loops of the CPU path: each is one pass over the [P,N] matrices of one batch element. They are
// compiled once for every instruction set (sweeps_impl.hpp) and reached through a table of function pointers.
namespace plasticity::cpu {

/// Width of the partial row sums: a row's sum over j is kept in this many lanes and added up at the end.
template <class Real>
inline constexpr std::int64_t row_lanes = 64 / static_cast<std::int64_t>(sizeof(Real));

/// The matrices' sizes, and what does not change from step to step.
template <class Real>
struct Connection {
  std::int64_t P, N;
  const Real* w;              // [P,N]
  const Real* alpha;          // rows of N: of a [P,N] matrix, or one row that serves all
  std::int64_t alpha_stride;  // N, or 0
  bool alpha_per_connection;  // whether the gradient of alpha is a matrix too
  Real eta, clip;
};

/// The update of step t-1: H and E of one place become those of another (or the same).
template <class Real>
struct TraceUpdate {
  const Real* hebb_in;         // [P,N]
  Real* hebb_out;              // [P,N]
  const Real* eligibility_in;  // [P,N] or null
  Real* eligibility_out;       // [P,N] or null
  const Real* x;               // [P] of the step whose update this is
  const Real* y;               // [N]
  const Real* rate;            // [N]
};

/// The plastic read of step t: s_j += sum_i x_i (w_ij + alpha_ij read(H_ij)).
template <class Real>
struct PlasticRead {
  const Real* x;  // [P]
  Real* s;        // [N]
};

/// The adjoint of the trace update of step t.
template <class Real>
struct UpdateAdjoint {
  const Real* hebb;         // [P,N] before the step
  const Real* eligibility;  // [P,N] before the step, or null
  Real* G;                  // [P,N] in: gradient of the trace after the step; out: before it
  Real* GE;                 // [P,N] likewise, or null
  const Real* x;            // [P]
  const Real* y;            // [N]
  const Real* rate;         // [N]
  Real* dx_lanes;           // [P,row_lanes] added to
  Real* dy;                 // [N] added to
  Real* drate;              // [N] written
  Real* deta;               // [N] added to: the eligibility constant's gradient, by column
};

/// The adjoint of the plastic read of step t.
template <class Real>
struct ReadAdjoint {
  const Real* hebb;  // [P,N] before the step
  Real* G;           // [P,N] added to
  const Real* x;     // [P]
  const Real* da;    // [N] gradient of the plastic gate's current
  Real* dx_lanes;    // [P,row_lanes] added to
  Real* dalpha;      // added to: [P,N], or [N] where alpha is not per connection
};

template <class Real>
struct Sweeps {
  void (*update)(Rule, Eligibility, const Connection<Real>&, const TraceUpdate<Real>&);
  void (*read)(Rule, const Connection<Real>&, const Real* hebb, const PlasticRead<Real>&);
  void (*update_and_read)(Rule, Eligibility, const Connection<Real>&, const TraceUpdate<Real>&,
                          const PlasticRead<Real>&);
  void (*update_adjoint)(Rule, Eligibility, const Connection<Real>&, const UpdateAdjoint<Real>&);
  void (*read_adjoint)(Rule, const Connection<Real>&, const ReadAdjoint<Real>&);
};

/// Dense products for what is not plastic: row-major, C is added to.
template <class Real>
struct Products {
  /// C[m,n] += sum_k A[m,k] B[k,n], with row strides lda, ldb, ldc.
  void (*multiply)(std::int64_t M, std::int64_t N, std::int64_t K, const Real* a, std::int64_t lda,
                   const Real* b, std::int64_t ldb, Real* c, std::int64_t ldc);
  /// C[m,n] += sum_k a_rows[k][m] b_rows[k][n] for m_begin <= m < m_end: outer products of K pairs of rows.
  void (*outer)(std::int64_t m_begin, std::int64_t m_end, std::int64_t N, std::int64_t K,
                const Real* const* a_rows, const Real* const* b_rows, Real* c, std::int64_t ldc);
};

/// The tables for the instruction set of this machine.
template <class Real>
const Sweeps<Real>& sweeps(Isa isa);
template <class Real>
const Products<Real>& products(Isa isa);

}  // namespace plasticity::cpu
