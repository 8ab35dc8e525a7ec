#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// p = g X; H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) [2019 code], which is
/// clamp((1 - |p|) H + p, -1, 1). The step shrinks as H approaches its bound.
template <>
struct TraceRule<Rule::soft_clip> {
  static constexpr Form form = Form::soft;
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static Column<V> column(V rate, V y, const RuleConstants<V>&) {
    return {broadcast<V>(1), hebbian_drive<kind>(rate, y)};
  }
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static ColumnAdjoint<V> column_adjoint(V rate, V y, const Column<V>& gradient,
                                                                const RuleConstants<V>&) {
    return hebbian_adjoint<kind>(rate, y, gradient.drive);
  }
};

}  // namespace plasticity
