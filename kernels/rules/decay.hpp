#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- (1 - g) H + g X [2016, 2018].
template <>
struct TraceRule<Rule::decay> {
  static constexpr Form form = Form::linear;
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static RuleFactors<V> factors(V rate, V y, const RuleConstants<V>&) {
    return {1 - rate, hebbian_gain<kind>(rate, y)};
  }
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static ColumnAdjoint<V> factors_adjoint(V rate, V y, const RuleFactors<V>& gradient,
                                                                 const RuleConstants<V>&) {
    ColumnAdjoint<V> into = hebbian_gain_adjoint<kind>(rate, y, gradient.gain);
    into.rate = into.rate - gradient.retention;  // adjoint
    return into;
  }
};

}  // namespace plasticity
