// The factors of a column for a rule that is known at run time.
#pragma once

#include "rules/dispatch.hpp"
#include "rules/rules.hpp"

namespace plasticity {

/// The form of a rule.
PLASTICITY_HOST_DEVICE inline Form form_of(Rule rule) {
  return dispatch_rule(rule, [&]<Rule r> { return TraceRule<r>::form; });
}

template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline Column<V> column_of(Rule rule, V rate, V y, const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r> { return TraceRule<r>::template column<kind>(rate, y, constants); });
}

template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> column_adjoint_of(Rule rule, V rate, V y,
                                                                 const Column<V>& gradient,
                                                                 const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r> {
    return TraceRule<r>::template column_adjoint<kind>(rate, y, gradient, constants);
  });
}

/// As above, for a rule of this form: code for one form has no cases for the rules of others.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline Column<V> column_of(Rule rule, V rate, V y, const RuleConstants<V>& constants) {
  Column<V> column{};
  dispatch_rule(rule, [&]<Rule r> {
    if constexpr (TraceRule<r>::form == form)
      column = TraceRule<r>::template column<kind>(rate, y, constants);
  });
  return column;
}
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> column_adjoint_of(Rule rule, V rate, V y,
                                                                 const Column<V>& gradient,
                                                                 const RuleConstants<V>& constants) {
  ColumnAdjoint<V> adjoint{};
  dispatch_rule(rule, [&]<Rule r> {
    if constexpr (TraceRule<r>::form == form)
      adjoint = TraceRule<r>::template column_adjoint<kind>(rate, y, gradient, constants);
  });
  return adjoint;
}

}  // namespace plasticity
