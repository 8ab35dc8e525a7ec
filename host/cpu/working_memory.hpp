#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/staggered_arena.hpp"
#include "cpu/sweeps/layout.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "plasticity/arguments.hpp"

// The parts of a CpuPlan's tape and scratch. A constructor takes the part's tensors from an arena, or
// measures them with an arena without memory. All rows are padded (sweeps/layout.hpp).
namespace plasticity::cpu {

/// Elements from one trace to the next in an array of traces: whole pages if the traces are large.
template <class Real>
std::int64_t trace_distance(const Spec& spec) {
  const std::int64_t size = spec.presynaptic() * padded<Real>(spec.neurons);
  constexpr std::int64_t page = StaggeredArena::page / sizeof(Real),
                         large = StaggeredArena::large / sizeof(Real);
  return size < large ? size : (size + page - 1) / page * page;
}

/// Padded copies of w and alpha. A sequence copies whole rows: an unaligned load touches two cache lines, and
/// the pages of a caller's matrix may conflict in the L2 cache. A step copies the end of the last row only
/// (MatrixRows), unless the rows are shorter than a block.
template <class Real>
struct ParameterCopies {
  bool copies_rows;
  std::int64_t width;  // of a copied row
  Real* w;             // [P,width], or the end of the last row
  Real* alpha;         // as w, or [N] if alpha is not per connection

  ParameterCopies(const Spec& spec, bool whole, StaggeredArena& arena);
  /// Fills the copies and returns the parameters of the sweeps, which point to them.
  SweepParams<Real> fill(const Spec& spec, const Parameters<const Real>& parameters) const;
};

/// The tape of one batch element. Tensors that the cell does not use have no elements.
template <class Real, class Trace>
struct TapeElement {
  Real* y0;            // [N] initial y; lstm: initial h
  Real* c0;            // [N] lstm
  Real* output;        // [T,N] y; lstm: h
  Real* post;          // [T,N] postsynaptic activity; aliases `output` except in an lstm
  Real* unclamped;     // [T,N] softmax before the clamp; aliases `post` for other activations
  Real* c;             // [T,N] lstm
  Real* gates;         // [T,3,N] lstm: i f o after the sigmoid
  Real* modulation;    // [T]
  Trace* hebb;         // [ceil(T/K),P,N] trace before every K-th step; see RoundedTraces::needs_last()
  Trace* eligibility;  // [ceil(T/K),P,N]

  TapeElement(const Spec& spec, std::int64_t steps, std::int64_t interval, StaggeredArena& arena);
};

/// Working memory of one batch element while it runs forward.
template <class Real>
struct ForwardSpace {
  static constexpr std::int64_t chunk = 16;  // steps per product with w_in
  static constexpr std::int64_t ring = 2;    // steps whose vectors are kept without a tape
  Real* y0;                                  // [N]
  Real* c0;                                  // [N] lstm
  Real* zeros;                               // [max(P,N)]
  Real* currents;                            // [chunk,gates,N]
  Real* output;                              // [ring,N]
  Real* post;                                // [ring,N] aliases `output` except in an lstm
  Real* c;                                   // [ring,N] lstm
  Real* gates;                               // [3,N] lstm
  Real *rate, *retention, *gain;             // [N] of the pending update
  Real* hebb;                                // [P,N]
  Real* eligibility;                         // [P,N]

  ForwardSpace(const Spec& spec, StaggeredArena& arena);
};

/// Gradient sums of one batch element over its steps, or of a subtree of elements (base/tree.hpp).
template <class Real>
struct ElementSums {
  Real* eta;               // [N]; after the last step of an element its sum over N is in eta[0]
  Real* modulator_weight;  // [N]
  Real* modulator_bias;    // [1]
  Real* fan_out_weight;    // [N]
  Real* fan_out_bias;      // [N]
  Real* alpha;             // [P,N], or [N] if alpha is not per connection; a scalar's sum is in alpha[0]
  std::int64_t elements;   // from eta on; includes padding, which is zero

  ElementSums(const Spec& spec, bool alpha_per_connection, StaggeredArena& arena);
  void set_zero() const { std::fill_n(eta, elements, Real(0)); }
  void add(const ElementSums& other) const {
    for (std::int64_t k = 0; k < elements; ++k) eta[k] += other.eta[k];
  }
};

/// Working memory of one batch element while it runs backward.
template <class Real>
struct BackwardSpace {
  Real* G;     // [P,N]
  Real* GE;    // [P,N]
  Real* hebb;  // [stored_traces,P,N] traces of a segment, from its checkpoint on, trace_distance() apart
  Real* eligibility;                 // [stored_traces,P,N]
  Real *rates, *retentions, *gains;  // [steps,N] of the updates from the segment's first step on
  UpdateVectors<Real>* updates;      // [steps]
  Real* dx_read;                     // [shares,P] from the read of the current step
  Real* dx_update[2];                // [shares,P] from the updates of the current and the previous step
  Real* dx;                          // [max(P,N)]
  Real* doutput;                     // [N]
  Real* dc;                          // [N]
  Real* dpost;                       // [N]
  Real* drate;                       // [N]
  Real* dpost_eligibility;           // [N] with an eligibility trace
  Real* unused_dalpha;               // [N] see CpuPlan::adds_alpha_last()

  /// stored_traces: of a segment. steps: CpuPlan::steps_of_updates().
  BackwardSpace(const Spec& spec, std::int64_t stored_traces, std::int64_t steps, StaggeredArena& arena);
};

}  // namespace plasticity::cpu
