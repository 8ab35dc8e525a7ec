#pragma once

#include "plasticity/spec.hpp"
#include "rules/arithmetic.hpp"

// A trace rule, its value and its adjoint, written once for every kernel and for the fast CPU path. `V` is a
// float, a double, or on the CPU a vector of them (one connection a lane); a rule therefore uses operators
// and what arithmetic.hpp has.
namespace plasticity {

/// What the adjoint of a rule gives for one connection, from G, the gradient of the trace after the step.
template <class V>
struct RuleAdjoint {
  V hebb;   ///< gradient of the trace before the step
  V drive;  ///< gradient of the drive X
  V rate;   ///< gradient of g_j, to be summed over i
  V y;      ///< gradient of y_j beyond its part in X (oja), to be summed over i
};

/// The rule as a type; each specialisation stands in a file of its own. update() gives the trace after the
/// step; adjoint() goes back; read() is what the plastic read sees of the trace, and through_read() the
/// gradient that comes back from it.
template <Rule rule>
struct TraceRule;

/// A rule that sees the rate and the drive in their product g X alone. Whoever knows may multiply the factors
/// of g x_i y_j in another order.
struct ScaledDrive {
  static constexpr bool drive_is_scaled = true;
};
struct OwnDrive {
  static constexpr bool drive_is_scaled = false;
};

/// A rule whose trace is read as it is.
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
