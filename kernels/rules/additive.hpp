#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g X.
template <>
struct TraceRule<Rule::additive> : PlainRead, ScaledDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    return multiply_add(rate, drive, hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V, V drive, V rate, V, V) {
    return {G, rate * G, G * drive, V{}};  // adjoint
  }
};

}  // namespace plasticity
