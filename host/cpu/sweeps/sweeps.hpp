#pragma once

#include <cstdint>

#include "cpu/sweeps/layout.hpp"
#include "device/isa.hpp"
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

/// The traces of one batch element, before a sweep and after it (perhaps the same memory).
template <class Real>
struct TraceMove {
  const Real* hebb_in;         // [P,N]
  Real* hebb_out;              // [P,N]
  const Real* eligibility_in;  // [P,N] or null
  Real* eligibility_out;       // [P,N] or null
};

/// What a trace update is made of.
template <class Real>
struct UpdateFactors {
  const Real* x;     // [P] of the step whose update this is; null: there is none
  const Real* y;     // [N]
  const Real* rate;  // [N]
};

/// A batch element's sweep forward: the update of step t-1, if there is one, then the plastic read of step t,
/// s_j += sum_i x_i (w_ij + alpha_ij read(H_ij)).
template <class Real>
struct ForwardSweep {
  TraceMove<Real> traces;  // nothing is written to without an update
  UpdateFactors<Real> update;
  const Real* x;  // [P] of step t
  Real* s;        // [N]
};

/// Traces that are known by those of some steps before, and by the updates since.
template <class Real>
struct TraceSource {
  const Real* hebb;                    // [P,N]
  const Real* eligibility;             // [P,N] or null
  const UpdateFactors<Real>* updates;  // [count]
  std::int64_t count;                  // perhaps 0
};

/// The adjoint of a plastic read.
template <class Real>
struct ReadAdjoint {
  const Real* x;   // [P]; null: no read is reversed
  const Real* da;  // [N] gradient of the plastic gate's current
  Real* dx;        // [P] written: this share's part
  Real* dalpha;    // added to: [P,N], or [N] where alpha is not per connection
};

/// The adjoint of a trace update.
template <class Real>
struct UpdateAdjoint {
  UpdateFactors<Real> factors;  // x null: no update is reversed
  Real* dx;                     // [P] written: this share's part
  Real* dy;                     // [N] written
  Real* drate;                  // [N] written
  Real* deta;                   // [N] added to: the eligibility constant's gradient, by column
};

/// A batch element's sweep backward: the read of step t, then the update of step t-1; the trace between them
/// is computed again.
template <class Real>
struct BackwardSweep {
  TraceSource<Real> before;  // the step whose update is reversed, else the read
  Real* G;                   // [P,N] gradient of H: from after what is reversed to before it
  Real* GE;                  // [P,N] of E, or null
  ReadAdjoint<Real> read;
  UpdateAdjoint<Real> update;
};

/// Batch elements whose sweeps are run together, so that w, alpha and its gradient pass through the cache
/// once for all of them.
inline constexpr int elements_together = 2;

template <class Real>
struct Sweeps {
  /// One element's or several elements'; each comes out with the bits that it has alone.
  void (*forward)(Rule, Eligibility, const Connection<Real>&, Columns, const ForwardSweep<Real>* sweeps,
                  int elements);
  /// Writes traces down, in one pass whatever the number of updates.
  void (*replay)(Rule, Eligibility, const Connection<Real>&, Columns, const TraceSource<Real>& traces,
                 Real* hebb, Real* eligibility);
  /// Copies a trace, or part of it, to where it is not read soon: past the caches, if the processor can.
  void (*keep)(std::int64_t count, const Real* trace, Real* checkpoint);
  /// As forward; what the elements add to one sum, they add in their order.
  void (*backward)(Rule, Eligibility, const Connection<Real>&, Columns, const BackwardSweep<Real>* sweeps,
                   int elements);
};

/// The table for an instruction set.
template <class Real>
const Sweeps<Real>& sweeps(Isa isa);

}  // namespace plasticity::cpu
