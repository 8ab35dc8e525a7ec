// A trace rule as data: its form (form.hpp), and the factors of a column with their adjoint, written once for
// every kernel and for the CPU. V is float, double, or on the CPU a vector of them (one column per lane), so
// a rule uses only operators and the functions of arithmetic.hpp.
#pragma once

#include "rules/form.hpp"

namespace plasticity {

/// A rule, specialised in a file of its own:
///   form: the Form of its update
///   factors<kind>(g_j, y_j, constants): the factors of column j
///   factors_adjoint<kind>(g_j, y_j, gradient, constants): the gradients of g_j and y_j from those of the
///     factors. gradient.retention is 0 if the form has none. The gradient of y_j is that through the factors
///     alone.
template <Rule rule>
struct TraceRule;

/// The factors of a rule that retains all of H and adds g X: l_j = 1.
struct FullRetention {
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static RuleFactors<V> factors(V rate, V y, const RuleConstants<V>&) {
    return {broadcast<V>(1), hebbian_gain<kind>(rate, y)};
  }
  template <Eligibility kind, class V>
  PLASTICITY_HOST_DEVICE static ColumnAdjoint<V> factors_adjoint(V rate, V y, const RuleFactors<V>& gradient,
                                                                 const RuleConstants<V>&) {
    return hebbian_gain_adjoint<kind>(rate, y, gradient.gain);
  }
};

}  // namespace plasticity
