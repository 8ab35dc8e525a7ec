#pragma once

#include "cpu/columns/layer.hpp"
#include "cpu/threads/parallel.hpp"

namespace plasticity::cpu {

/// One backward pass.
template <class Real, class Trace>
struct ColumnLayer<Real, Trace>::BackwardPass {
  const ColumnLayer& layer;
  const BackwardArgs<Real>& args;
  const BackwardScratch& memory;
  const Recording& recording;

  const Spec& spec = layer.spec_;
  const std::int64_t T = layer.T_, B = layer.B_, I = layer.I_, N = layer.N_, n = layer.n_, S = layer.S_;
  const bool recurrent = layer.recurrent(), modulated = spec.has_modulator(), lstm = layer.lstm();

  bool runs(std::int64_t t, std::int64_t b) const { return t >= 0 && t < layer.length_of(args.masks, b); }
  /// The gradients of v, F, F0 and v0 of one element.
  Real* sums_of(std::int64_t b) const { return memory.modulator_sums + b * (3 * n + 1); }

  Tape inner_tape() const { return Tape{{recording.inner_tape, layer.plan_.tape_bytes()}}; }

  void begin() const;
  /// Adds over the ranks the gradients of y(t) that step t+1 sends, and those of M(t). t is -1 for the
  /// initial y.
  void exchange(std::int64_t t) const;
  /// Computes the gradient of y(t) of the own columns; lstm: of h(t), and then those of the candidate.
  void before_step(std::int64_t t, Team& team) const;
  /// The gradients of the initial y and c.
  void finish_state() const;
  /// Adds the gradients of v, F, F0 and v0 of all elements.
  void add_modulator_gradients() const;
  /// Gradients of w_in, b, x and an lstm's w_gates and u from those of the currents.
  void reverse_currents(Real* dcurrents) const;

 private:
  void reverse_modulator(std::int64_t t, std::int64_t b, Real* dy) const;
  /// lstm: computes the gradients of the candidate and of the gates of step t, and adds to that of h(t-1).
  void reverse_gates(std::int64_t t, Team& team) const;
  /// to[rows,n] += the outer products of left_of(row) and the gradients of the currents of a gate.
  template <class Left>
  void add_outer(Real* to, std::int64_t rows, std::int64_t stride, Real* dcurrents, std::int64_t gate,
                 const Left& left_of) const;
  void reverse_inputs(Real* dcurrents) const;
};

}  // namespace plasticity::cpu
