#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g X.
template <>
struct TraceRule<Rule::additive> {
  static constexpr Form form = Form::linear;
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
