// A trace rule, its value and its adjoint, written once for every kernel and for the CPU. V is float, double,
// or on the CPU a vector of them (one connection per lane), so a rule uses only operators and the functions
// of arithmetic.hpp.
#pragma once

#include "plasticity/spec.hpp"
#include "rules/arithmetic.hpp"

namespace plasticity {

/// The adjoint of a rule for one connection, from G, the gradient of the trace after the step.
template <class V>
struct RuleAdjoint {
  V hebb;   ///< gradient of the trace before the step
  V drive;  ///< gradient of the drive X
  V rate;   ///< gradient of g_j, to be summed over i
  V y;      ///< gradient of y_j beyond its part in X (oja), to be summed over i
};

/// A rule, specialised in a file of its own. update() returns the trace after the step, adjoint() the
/// gradients. read() returns the value of a trace in the plastic read, and through_read() the gradient of
/// the trace from that of the value.
template <Rule rule>
struct TraceRule;

/// Uses rate and drive only through their product g X, so a kernel may multiply g, x_i and y_j in any order.
struct ScaledDrive {
  static constexpr bool drive_is_scaled = true;
};
struct OwnDrive {
  static constexpr bool drive_is_scaled = false;
};

/// A rule whose plastic read uses the trace itself.
struct PlainRead {
  template <class V>
  PLASTICITY_HOST_DEVICE static V read(V hebb, V) {
    return hebb;
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V through_read(V, V, V gradient) {
    return gradient;
  }
};

}  // namespace plasticity
