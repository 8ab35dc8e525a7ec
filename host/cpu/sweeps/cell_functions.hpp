#pragma once

#include <cstdint>

#include "device/isa.hpp"

// The nonlinearities and the lstm gates of a step, on padded vectors of N (layout.hpp). Compiled once per
// instruction set (cell_functions_impl.hpp). `count` is the padded length.
namespace plasticity::cpu {

/// The gates of an lstm step, after its candidate is computed.
template <class Real>
struct LstmStep {
  const Real* current;   // [4,N] currents of i, f, g, o
  const Real* post;      // [N] the candidate
  const Real* c_before;  // [N]
  Real* gates;           // [3,N] written: i, f, o
  Real* c;               // [N] written; may alias c_before
  Real* h;               // [N] written
};

/// The adjoint of LstmStep.
template <class Real>
struct LstmAdjoint {
  const Real *gates, *post, *c, *c_before;  // as in LstmStep
  const Real* dh;                           // [N]
  Real* dc;                                 // [N] in: gradient of c; out: gradient of c_before
  Real* dpost;                              // [N] accumulated
  Real* da;                                 // [4,N] i, f and o written
};

template <class Real>
struct CellFunctions {
  void (*tanh)(std::int64_t count, const Real* a, Real* y);
  void (*logistic)(std::int64_t count, const Real* a, Real* y);
  /// y = e^(a - largest), for a <= largest.
  void (*exp_below)(std::int64_t count, Real largest, const Real* a, Real* y);
  void (*lstm)(std::int64_t count, const LstmStep<Real>&);
  void (*lstm_adjoint)(std::int64_t count, const LstmAdjoint<Real>&);
};

/// The functions for an instruction set.
template <class Real>
const CellFunctions<Real>& cell_functions(Isa isa);

}  // namespace plasticity::cpu
