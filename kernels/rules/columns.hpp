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

/// As above, for a rule that has this form: code for one form has no cases for the rules of others.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline Column<V> column_of(Rule rule, V rate, V y, const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r>() -> Column<V> {
    if constexpr (TraceRule<r>::form == form) return TraceRule<r>::template column<kind>(rate, y, constants);
    __builtin_unreachable();
  });
}
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> column_adjoint_of(Rule rule, V rate, V y,
                                                                 const Column<V>& gradient,
                                                                 const RuleConstants<V>& constants) {
  return dispatch_rule(rule, [&]<Rule r>() -> ColumnAdjoint<V> {
    if constexpr (TraceRule<r>::form == form)
      return TraceRule<r>::template column_adjoint<kind>(rate, y, gradient, constants);
    __builtin_unreachable();
  });
}

/// The same for code that serves rules of Form::linear by Form::read_clipped too.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline Column<V> column_in(Rule rule, V rate, V y, const RuleConstants<V>& constants) {
  if constexpr (form == Form::linear || form == Form::read_clipped) {
    return column_of<kind>(rule, rate, y, constants);
  } else {
    return column_of<form, kind>(rule, rate, y, constants);
  }
}
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> column_adjoint_in(Rule rule, V rate, V y,
                                                                 const Column<V>& gradient,
                                                                 const RuleConstants<V>& constants) {
  if constexpr (form == Form::linear || form == Form::read_clipped) {
    return column_adjoint_of<kind>(rule, rate, y, gradient, constants);
  } else {
    return column_adjoint_of<form, kind>(rule, rate, y, gradient, constants);
  }
}

}  // namespace plasticity
