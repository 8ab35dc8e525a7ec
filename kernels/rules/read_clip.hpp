#pragma once

#include "rules/additive.hpp"

namespace plasticity {

/// H <- H + g X; the plastic read clips H to +-c [2019 LSTM code].
template <>
struct TraceRule<Rule::read_clip> : ScaledDrive {
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V y, V clip) {
    return TraceRule<Rule::additive>::update(hebb, drive, rate, y, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V y, V clip) {
    return TraceRule<Rule::additive>::adjoint(G, hebb, drive, rate, y, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V read(V hebb, V clip) {
    return clamp(hebb, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V through_read(V hebb, V clip, V gradient) {
    return through_clamp(hebb, clip, gradient);
  }
};

}  // namespace plasticity
