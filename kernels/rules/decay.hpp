#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- (1 - g) H + g X [2016, 2018].
template <>
struct TraceRule<Rule::decay> {
  static constexpr Form form = Form::linear;
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static Column<V> column(V rate, V y, const RuleConstants<V>&) {
    return {1 - rate, hebbian_drive<kind>(rate, y)};
  }
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static ColumnAdjoint<V> column_adjoint(V rate, V y, const Column<V>& gradient,
                                                                const RuleConstants<V>&) {
    ColumnAdjoint<V> into = hebbian_adjoint<kind>(rate, y, gradient.drive);
    into.rate = into.rate - gradient.kept;  // adjoint
    return into;
  }
};

}  // namespace plasticity
