#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// p = g X; H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) [2019 code]. The step shrinks as H
/// approaches its bound.
template <>
struct TraceRule<Rule::soft_clip> : PlainRead, ScaledDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    const V p = rate * drive;
    return clamp(multiply_add(p, room(p, hebb), hebb), 1 - V{});
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V) {
    const V p = rate * drive, left = room(p, hebb);
    const V kept = through_clamp(multiply_add(p, left, hebb), 1 - V{}, G), dp = kept * left;
    return {multiply_add(kept, select(p >= V{}, -p, p), kept), rate * dp, dp * drive, V{}};  // adjoint
  }

 private:
  /// The distance to the bound that p moves towards.
  template <class V>
  PLASTICITY_HOST_DEVICE static V room(V p, V hebb) {
    return select(p >= V{}, 1 - hebb, 1 + hebb);
  }
};

}  // namespace plasticity
