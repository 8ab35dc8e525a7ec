#pragma once

#include <cstdint>

#include "cpu/sweeps/layout.hpp"
#include "device/isa.hpp"
#include "plasticity/spec.hpp"

// The inner loops of the CPU backend. A sweep is one pass over some columns of the [P,N] matrices of one
// batch element. Sweeps are compiled once per instruction set (sweeps_impl.hpp) and called through a table of
// function pointers. Traces, their gradients and vectors over columns are padded (layout.hpp). Vectors over
// rows are not.
namespace plasticity::cpu {

/// The rows of a matrix, or one row used for all. The last vector of a row may reach into the next row; the
/// sweeps mask these columns. The last row has a copy of its end, because a vector there would reach out of
/// the matrix.
template <class Real>
struct MatrixRows {
  const Real* at;       // row 0
  std::int64_t stride;  // from row to row; 0 if one row is used for all
  const Real* last;     // the last row after its last whole block of row_lanes columns, padded
};

/// The parameters of the sweeps of a call, the same for all its steps and elements.
template <class Real>
struct SweepParams {
  std::int64_t P, N;
  MatrixRows<Real> w, alpha;
  Real eta, clip;
  bool dalpha_per_connection = false;  // whether dalpha of a BackwardSweep is [P,N], not [N]
};

/// The traces of one batch element before and after a sweep. Both may be the same memory.
template <class Real>
struct TraceMove {
  const Real* hebb_in;         // [P,N]
  Real* hebb_out;              // [P,N]
  const Real* eligibility_in;  // [P,N] or null
  Real* eligibility_out;       // [P,N] or null
};

/// The vectors of a trace update.
template <class Real>
struct UpdateVectors {
  const Real* x;          // [P]; null if there is no update
  const Real* y;          // [N] for an eligibility trace
  const Real* retention;  // [N] of the columns (rules/form.hpp)
  const Real* gain;       // [N]
};

/// The columns of an update, from which Sweeps::factors computes the factors.
template <class Real>
struct ColumnInputs {
  const Real *rate, *y;  // [N]
  Real clip;
};

/// A forward sweep of one batch element: the update of step t-1, if there is one, then the plastic read of
/// step t, s_j += sum_i x_i (w_ij + alpha_ij read(H_ij)).
template <class Real>
struct ForwardSweep {
  TraceMove<Real> traces;  // not written without an update
  UpdateVectors<Real> update;
  const Real* x;  // [P] of step t
  Real* s;        // [N]
};

/// Traces given by stored earlier ones and the updates since then.
template <class Real>
struct TraceSource {
  const Real* hebb;                    // [P,N]
  const Real* eligibility;             // [P,N] or null
  const UpdateVectors<Real>* updates;  // [count]
  std::int64_t count;                  // >= 0
};

/// The adjoint of a plastic read.
template <class Real>
struct ReadAdjoint {
  const Real* x;   // [P]; null if no read is reversed
  const Real* da;  // [N] gradient of the plastic gate's current
  Real* dx;        // [P] written: the partial sum of this share
  Real* dalpha;    // accumulated: [P,N], or [N] if alpha is not per connection
};

/// The adjoint of a trace update. During the sweep dpost and drate hold the gradients of the gain and the
/// retention.
template <class Real>
struct UpdateAdjoint {
  UpdateVectors<Real> factors;  // x is null if no update is reversed
  const Real* rate;             // [N]
  Real* dx;                     // [P] written: the partial sum of this share
  Real* dpost;                  // [N] written
  Real* drate;                  // [N] written
  Real* dpost_eligibility;      // [N] work memory: the part of dpost through an eligibility trace
  Real* deta;                   // [N] accumulated: gradient of the eligibility constant, per column
};

/// A backward sweep of one batch element: reverses the read of step t, then the update of step t-1. The trace
/// between them is recomputed.
template <class Real>
struct BackwardSweep {
  TraceSource<Real> before;  // the traces before the update, or before the read without an update
  Real* G;                   // [P,N] gradient of H, updated in place
  Real* GE;                  // [P,N] gradient of E, updated in place, or null
  ReadAdjoint<Real> read;
  UpdateAdjoint<Real> update;
};

/// The gradient of alpha per connection of some steps of one batch element. Read k is that of the trace after
/// the first k updates, with the presynaptic activity updates[k].x.
template <class Real>
struct AlphaSweep {
  TraceSource<Real> reads;   // count: number of reads
  const Real* da;            // gradient of the plastic gate's current at the first read, [N]
  std::int64_t da_distance;  // from read to read
  Real* dalpha;              // [P,N] accumulated
};

/// Batch elements per sweep call, so that w and alpha are read once for all of them.
inline constexpr int elements_together = 2;

template <class Real>
struct Sweeps {
  /// Runs the sweeps of one or more elements. An element has the same bits alone and with others.
  void (*forward)(Rule, Eligibility, const SweepParams<Real>&, Columns, const ForwardSweep<Real>* sweeps,
                  int elements);
  /// Computes traces in one pass, for any number of updates.
  void (*replay)(Rule, Eligibility, const SweepParams<Real>&, Columns, const TraceSource<Real>& traces,
                 Real* hebb, Real* eligibility);
  /// Computes the factors of `count` columns, with padding.
  void (*factors)(Rule, Eligibility, std::int64_t count, const ColumnInputs<Real>&, Real* retention,
                  Real* gain);
  /// Copies a trace with non-temporal stores, if the processor has them.
  void (*keep)(std::int64_t count, const Real* trace, Real* checkpoint);
  /// As forward. Each element has its own sums.
  void (*backward)(Rule, Eligibility, const SweepParams<Real>&, Columns, const BackwardSweep<Real>* sweeps,
                   int elements);
  void (*alpha_gradient)(Rule, Eligibility, const SweepParams<Real>&, Columns, const AlphaSweep<Real>&);
};

/// The table for an instruction set.
template <class Real>
const Sweeps<Real>& sweeps(Isa isa);

}  // namespace plasticity::cpu
