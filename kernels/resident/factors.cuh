// The factors of a column in the resident kernels. Their instances of the form read_clipped also serve the
// rules of the form linear, with an infinite clip, so they have the cases of every rule.
#pragma once

#include "rules/factors.hpp"

namespace plasticity::cuda {

/// rule_factors() in the instance of a form.
template <Form form, Eligibility kind>
__device__ inline RuleFactors<float> resident_factors(Rule rule, float rate, float y,
                                                      const RuleConstants<float>& constants) {
  if constexpr (form == Form::read_clipped) {
    return rule_factors<kind>(rule, rate, y, constants);
  } else {
    return rule_factors<form, kind>(rule, rate, y, constants);
  }
}

/// rule_factors_adjoint() in the instance of a form.
template <Form form, Eligibility kind>
__device__ inline ColumnAdjoint<float> resident_factors_adjoint(Rule rule, float rate, float y,
                                                                const RuleFactors<float>& gradient,
                                                                const RuleConstants<float>& constants) {
  if constexpr (form == Form::read_clipped) {
    return rule_factors_adjoint<kind>(rule, rate, y, gradient, constants);
  } else {
    return rule_factors_adjoint<form, kind>(rule, rate, y, gradient, constants);
  }
}

}  // namespace plasticity::cuda
