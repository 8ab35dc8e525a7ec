// The factors of a column for a rule that is known at run time.
#pragma once

#include "rules/dispatch.hpp"
#include "rules/rules.hpp"

namespace plasticity {

/// The form of a rule.
PLASTICITY_HOST_DEVICE inline Form form_of(Rule rule) {
  return dispatch_rule(rule, [&]<Rule r> { return TraceRule<r>::form; });
}

/// The factors of a column by the rule.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline RuleFactors<V> rule_factors(Rule rule, V rate, V y,
                                                          const RuleConstants<V>& constants) {
  return dispatch_rule(rule,
                       [&]<Rule r> { return TraceRule<r>::template factors<kind>(rate, y, constants); });
}

/// The gradients of g_j and y_j from those of the factors.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> rule_factors_adjoint(Rule rule, V rate, V y,
                                                                    const RuleFactors<V>& gradient,
                                                                    const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r> {
    return TraceRule<r>::template factors_adjoint<kind>(rate, y, gradient, constants);
  });
}

/// As above, for a rule that has this form: code for one form has no cases for the rules of others.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline RuleFactors<V> rule_factors(Rule rule, V rate, V y,
                                                          const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r>() -> RuleFactors<V> {
    if constexpr (TraceRule<r>::form == form) return TraceRule<r>::template factors<kind>(rate, y, constants);
    __builtin_unreachable();
  });
}
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> rule_factors_adjoint(Rule rule, V rate, V y,
                                                                    const RuleFactors<V>& gradient,
                                                                    const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r>() -> ColumnAdjoint<V> {
    if constexpr (TraceRule<r>::form == form)
      return TraceRule<r>::template factors_adjoint<kind>(rate, y, gradient, constants);
    __builtin_unreachable();
  });
}

}  // namespace plasticity
