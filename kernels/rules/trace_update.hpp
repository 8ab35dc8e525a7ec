// The update of both traces of one connection, and its adjoint, per rule, as before connection.hpp. Only the
// resident kernels still use it.
#pragma once

#include "rules/old_trace_rule.hpp"

namespace plasticity {

/// Updates both traces of one connection by one step. `product` is D = x_i y_j. `eligibility` is ignored
/// without an eligibility trace.
template <Rule rule, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline void update_traces(V& hebb, V& eligibility, V product, V rate, V y, V eta,
                                                 V clip) {
  V drive = product;
  if constexpr (kind != Eligibility::none) {
    const V before = eligibility;
    eligibility = multiply_add(eta, product - before, before);
    drive = kind == Eligibility::before ? before : eligibility;
  }
  hebb = OldTraceRule<rule>::update(hebb, drive, rate, y, clip);
}

/// The gradients that reverse_traces() returns for one connection.
template <class V>
struct TraceAdjoint {
  V product;  ///< gradient of D, to be summed with y over j and with x over i
  V rate;     ///< gradient of g_j, to be summed over i
  V y;        ///< gradient of y_j beyond its part in D, to be summed over i
  V eta;      ///< gradient of the eligibility trace's constant, to be summed over everything
};

/// The adjoint of update_traces(), from the traces before the step. Replaces G and GE, the gradients of the
/// traces after the step, by those of the traces before it.
template <Rule rule, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline TraceAdjoint<V> reverse_traces(V& G, V& GE, V hebb, V eligibility, V product,
                                                             V rate, V y, V eta, V clip) {
  V drive = product;
  if constexpr (kind == Eligibility::before) drive = eligibility;
  if constexpr (kind == Eligibility::after) drive = multiply_add(eta, product - eligibility, eligibility);
  const RuleAdjoint<V> adjoint = OldTraceRule<rule>::adjoint(G, hebb, drive, rate, y, clip);
  G = adjoint.hebb;
  if constexpr (kind == Eligibility::none) {
    return {adjoint.drive, adjoint.rate, adjoint.y, V{}};
  } else {
    const V updated = kind == Eligibility::after ? GE + adjoint.drive : GE;  // adjoint; of E after its update
    const V passed = eta * updated;
    GE = updated - passed;                                                        // adjoint
    if constexpr (kind == Eligibility::before) GE = GE + adjoint.drive;           // adjoint
    return {passed, adjoint.rate, adjoint.y, updated * (product - eligibility)};  // adjoint
  }
}

}  // namespace plasticity
