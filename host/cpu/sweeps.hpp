#pragma once

#include <cstdint>

#include "cpu/isa.hpp"
#include "cpu/layout.hpp"
#include "plasticity/spec.hpp"

// The inner loops of the CPU path: each is one pass over some columns of the [P,N] matrices of one batch
// element. They are compiled once for every instruction set (sweeps_impl.hpp) and reached through a table of
// function pointers. Traces and their gradients are padded matrices (layout.hpp), and so are vectors over
// columns; a vector over rows is not.
namespace plasticity::cpu {

/// A caller's matrix, or one row that serves all: whole blocks of row_lanes columns are read where they are,
/// the rest of each row from a padded copy.
template <class Real>
struct Rows {
  const Real* at;            // of row 0
  std::int64_t stride;       // from row to row; 0: one row serves all
  const Real* tail;          // of row 0, from its last whole block on; padded with zeros
  std::int64_t tail_stride;  // row_lanes, or 0
};

/// What does not change from step to step.
template <class Real>
struct Connection {
  std::int64_t P, N;
  Rows<Real> w, alpha;
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

/// The gradients of the traces, which a sweep carries from after what it reverses to before it.
template <class Real>
struct TraceGradients {
  Real* G;   // [P,N] of H
  Real* GE;  // [P,N] of E, or null
};

/// The adjoint of a plastic read.
template <class Real>
struct ReadAdjoint {
  const Real* x;   // [P]
  const Real* da;  // [N] gradient of the plastic gate's current
  Real* dx;        // [P] written: this share's part
  Real* dalpha;    // added to: [P,N], or [N] where alpha is not per connection
};

/// The adjoint of a trace update.
template <class Real>
struct UpdateAdjoint {
  const Real* x;     // [P]
  const Real* y;     // [N]
  const Real* rate;  // [N]
  Real* dx;          // [P] written: this share's part
  Real* dy;          // [N] written
  Real* drate;       // [N] written
  Real* deta;        // [N] added to: the eligibility constant's gradient, by column
};

template <class Real>
struct Sweeps {
  void (*update)(Rule, Eligibility, const Connection<Real>&, Columns, const TraceUpdate<Real>&);
  void (*read)(Rule, const Connection<Real>&, Columns, const Real* hebb, const PlasticRead<Real>&);
  void (*update_and_read)(Rule, Eligibility, const Connection<Real>&, Columns, const TraceUpdate<Real>&,
                          const PlasticRead<Real>&);
  /// `hebb` and `eligibility` are the traces before the step whose update is reversed, or before the read
  /// where there is no update.
  void (*update_adjoint)(Rule, Eligibility, const Connection<Real>&, Columns, const Real* hebb,
                         const Real* eligibility, const TraceGradients<Real>&, const UpdateAdjoint<Real>&);
  void (*read_adjoint)(Rule, const Connection<Real>&, Columns, const Real* hebb, const TraceGradients<Real>&,
                       const ReadAdjoint<Real>&);
  /// The read of step t, then the update of step t-1; the trace between them is computed again.
  void (*read_and_update_adjoint)(Rule, Eligibility, const Connection<Real>&, Columns, const Real* hebb,
                                  const Real* eligibility, const TraceGradients<Real>&,
                                  const ReadAdjoint<Real>&, const UpdateAdjoint<Real>&);
};

/// The table for an instruction set.
template <class Real>
const Sweeps<Real>& sweeps(Isa isa);

}  // namespace plasticity::cpu
