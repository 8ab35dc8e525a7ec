#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g X; the plastic read clamps H to +-c [2019 LSTM code].
template <>
struct TraceRule<Rule::read_clip> {
  static constexpr Form form = Form::read_clipped;
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
