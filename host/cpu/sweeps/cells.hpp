#pragma once

#include <cstdint>

#include "device/isa.hpp"

// What a step does to padded vectors of N (layout.hpp): the nonlinearities and the gates of an lstm, compiled
// once for every instruction set (cells_impl.hpp). `count` is the padded length.
namespace plasticity::cpu {

/// An lstm's step after the candidate is known.
template <class Real>
struct LstmStep {
  const Real* current;   // [4,N] currents of i, f, g, o
  const Real* post;      // [N] the candidate
  const Real* c_before;  // [N]
  Real* gates;           // [3,N] written: i, f, o
  Real* c;               // [N] written; may be c_before
  Real* h;               // [N] written
};

/// Its adjoint: from the gradients of h and c to those of the gates' currents, the candidate and c before.
template <class Real>
struct LstmAdjoint {
  const Real *gates, *post, *c, *c_before;  // as the step left them
  const Real* dh;                           // [N]
  Real* dc;                                 // [N] in: gradient of c; out: of c_before
  Real* dpost;                              // [N] added to
  Real* da;                                 // [4,N] i, f and o written
};

template <class Real>
struct Cells {
  void (*tanh)(std::int64_t count, const Real* a, Real* y);
  void (*logistic)(std::int64_t count, const Real* a, Real* y);
  /// y = e^(a - largest); no a is above `largest`.
  void (*exp_below)(std::int64_t count, Real largest, const Real* a, Real* y);
  void (*lstm)(std::int64_t count, const LstmStep<Real>&);
  void (*lstm_adjoint)(std::int64_t count, const LstmAdjoint<Real>&);
};

/// The table for an instruction set.
template <class Real>
const Cells<Real>& cells(Isa isa);

}  // namespace plasticity::cpu
