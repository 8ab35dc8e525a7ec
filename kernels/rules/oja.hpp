#pragma once

#include "rules/rule.hpp"

namespace plasticity {

/// H <- H + g (X - y^2 H) [2018]; with X = x y it is g y (x - y H).
template <>
struct TraceRule<Rule::oja> {
  static constexpr Form form = Form::linear;
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static RuleFactors<V> factors(V rate, V y, const RuleConstants<V>&) {
    return {multiply_add(-rate * y, y, broadcast<V>(1)), hebbian_gain<kind>(rate, y)};
  }
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static ColumnAdjoint<V> factors_adjoint(V rate, V y, const RuleFactors<V>& gradient,
                                                                 const RuleConstants<V>&) {
    ColumnAdjoint<V> into = hebbian_gain_adjoint<kind>(rate, y, gradient.gain);
    const V scaled = -y * gradient.retention;
    into.rate = multiply_add(scaled, y, into.rate);   // adjoint
    into.y = multiply_add(2 * rate, scaled, into.y);  // adjoint
    return into;
  }
};

}  // namespace plasticity
