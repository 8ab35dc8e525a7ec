#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- clamp(H + g X, -c, c) [2019]. A clipped entry passes no gradient to H, X, g or y.
template <>
struct TraceRule<Rule::hard_clip> {
  static constexpr Form form = Form::clipped;
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
