#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g (X - y^2 H) [2018]; with X = x y it is g y (x - y H).
template <>
struct TraceRule<Rule::oja> : PlainRead, OwnDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V y, V) {
    return multiply_add(rate, multiply_add(-y * y, hebb, drive), hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V y, V) {
    const V scaled = rate * G, forgotten = y * hebb, kept = multiply_add(-scaled * y, y, G);
    return {kept, scaled, G * multiply_add(-y, forgotten, drive), -2 * scaled * forgotten};  // adjoint
  }
};

}  // namespace plasticity
