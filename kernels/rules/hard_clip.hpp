#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- clamp(H + g X, -c, c) [2019]. A clipped entry passes no gradient to H, X, g or y.
template <>
struct TraceRule<Rule::hard_clip> : PlainRead, ScaledDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V clip) {
    return clamp(multiply_add(rate, drive, hebb), clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V clip) {
    const V kept = through_clamp(multiply_add(rate, drive, hebb), clip, G);
    return {kept, rate * kept, kept * drive, V{}};  // adjoint
  }
};

}  // namespace plasticity
