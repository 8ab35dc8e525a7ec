#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- (1 - g) H + g X [2016, 2018], computed as H + g (X - H).
template <>
struct TraceRule<Rule::decay> : PlainRead, OwnDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    return multiply_add(rate, drive - hebb, hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V) {
    const V scaled = rate * G;
    return {G - scaled, scaled, G * (drive - hebb), V{}};  // adjoint
  }
};

}  // namespace plasticity
