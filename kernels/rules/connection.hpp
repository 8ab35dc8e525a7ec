// The update of both traces of one connection, and its adjoint, for every form. V is float, double, or on the
// CPU a vector of them (one connection per lane). All paths compute these functions in the same operations,
// so a trace has the same bits in each.
#pragma once

#include "rules/form.hpp"

namespace plasticity {

/// The factors that the connections of a column share in the update of one step. A form or an eligibility
/// that does not use a member does not read it.
template <class V>
struct ColumnFactors {
  V retention, gain;  ///< see RuleFactors
  V y;                ///< y_j, for an eligibility trace
};

/// The constants of all connections in one update.
template <class V>
struct UpdateConstants {
  V eta;    ///< of the eligibility trace
  V limit;  ///< of the clamp, see update_limit(); infinite: nothing is clamped
};

/// The limit of a form's clamp.
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V update_limit(V clip) {
  return form == Form::soft ? 1 - V{} : clip;
}

/// The presynaptic drive z of a connection (form.hpp). Replaces `eligibility` by E after the step.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V presynaptic_drive(V& eligibility, V x, V y, V eta) {
  if constexpr (kind == Eligibility::none) {
    return x;
  } else {
    const V before = eligibility;
    eligibility = multiply_add(eta, rounded_product(x, y) - before, before);
    return kind == Eligibility::before ? before : eligibility;
  }
}

/// U, the trace after the update and before the clamp.
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V unclamped_update(V hebb, V drive, const ColumnFactors<V>& column) {
  if constexpr (form == Form::clipped) {
    return multiply_add(column.gain, drive, hebb);
  } else if constexpr (form == Form::soft) {
    const V p = rounded_product(column.gain, drive);
    return multiply_add(1 - magnitude(p), hebb, p);
  } else {
    return multiply_add(column.gain, drive, rounded_product(column.retention, hebb));
  }
}

/// H' of U.
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V clamped_update(V unclamped, V limit) {
  if constexpr (form == Form::clipped || form == Form::soft) {
    return clamp(unclamped, limit);
  } else {
    return unclamped;
  }
}

/// Updates both traces of a connection by one step with presynaptic activity x. `eligibility` is ignored
/// without an eligibility trace.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline void update_connection(V& hebb, V& eligibility, V x,
                                                     const ColumnFactors<V>& column,
                                                     const UpdateConstants<V>& constants) {
  const V drive = presynaptic_drive<kind>(eligibility, x, column.y, constants.eta);
  hebb = clamped_update<form>(unclamped_update<form>(hebb, drive, column), constants.limit);
}

/// The value φ(H) of a trace in the plastic read.
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V read_trace(V hebb, V clip) {
  if constexpr (form == Form::read_clipped) {
    return clamp(hebb, clip);
  } else {
    return hebb;
  }
}

/// The gradient of the trace from `gradient`, that of φ(H).
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V through_read(V hebb, V clip, V gradient) {
  if constexpr (form == Form::read_clipped) {
    return through_clamp(hebb, clip, gradient);
  } else {
    return gradient;
  }
}

/// The gradients that a column sums over its connections, in rising order of the rows.
template <class V>
struct ColumnGradients {
  V retention, gain;  ///< of l_j and q_j
  V y;                ///< of y_j through the eligibility trace
  V eta;              ///< of the eligibility trace's constant
};

/// The factor of a column by which reverse_connection()'s result contributes to the gradient of x_i.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V presynaptic_factor(const ColumnFactors<V>& column) {
  return kind == Eligibility::none ? column.gain : column.y;
}

/// The adjoint of an update of the trace alone, from its drive z. Replaces G, the gradient of the trace after
/// the step, by that of the trace before it, adds to the column's sums, and returns the gradient of p = q_j
/// z. `passes`: the value of U that decides whether the gradient passes the clamp.
template <Form form, class V>
PLASTICITY_HOST_DEVICE inline V reverse_update(V& G, V hebb, V drive, V passes,
                                               const ColumnFactors<V>& column, V limit,
                                               ColumnGradients<V>& sums) {
  if constexpr (form == Form::clipped) {
    G = through_clamp(passes, limit, G);
    sums.gain = multiply_add(G, drive, sums.gain);  // adjoint
    return G;
  } else if constexpr (form == Form::soft) {
    const V p = rounded_product(column.gain, drive), passed = through_clamp(passes, limit, G);
    const V dp = rounded_product(passed, select(p >= V{}, 1 - hebb, 1 + hebb));  // adjoint
    G = multiply_add(passed, -magnitude(p), passed);                             // adjoint
    sums.gain = multiply_add(dp, drive, sums.gain);                              // adjoint
    return dp;
  } else {
    const V after = G;
    G = rounded_product(column.retention, after);                // adjoint
    sums.retention = multiply_add(after, hebb, sums.retention);  // adjoint
    sums.gain = multiply_add(after, drive, sums.gain);           // adjoint
    return after;
  }
}

/// The adjoint of update_connection(), from the traces before the step. Replaces G and GE, the gradients of
/// the traces after the step, by those of the traces before it, and adds to the column's sums. Returns the
/// gradient of x_i, without presynaptic_factor(). `passes`: U, or another value on the same side of the clip.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V reverse_connection(V& G, V& GE, V hebb, V eligibility, V x, V passes,
                                                   const ColumnFactors<V>& column,
                                                   const UpdateConstants<V>& constants,
                                                   ColumnGradients<V>& sums) {
  V after = eligibility;
  const V drive = presynaptic_drive<kind>(after, x, column.y, constants.eta);
  const V dp = reverse_update<form>(G, hebb, drive, passes, column, constants.limit, sums);
  if constexpr (kind == Eligibility::none) {
    return dp;
  } else {
    V updated = GE;  // the gradient of E after its update
    if constexpr (kind == Eligibility::after) updated = multiply_add(dp, column.gain, GE);  // adjoint
    const V dproduct = rounded_product(constants.eta, updated);
    GE = updated - dproduct;                                                                 // adjoint
    if constexpr (kind == Eligibility::before) GE = multiply_add(dp, column.gain, GE);       // adjoint
    sums.y = multiply_add(dproduct, x, sums.y);                                              // adjoint
    sums.eta = multiply_add(updated, rounded_product(x, column.y) - eligibility, sums.eta);  // adjoint
    return dproduct;
  }
}

/// As above, with the update's own U.
template <Form form, Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V reverse_connection(V& G, V& GE, V hebb, V eligibility, V x,
                                                   const ColumnFactors<V>& column,
                                                   const UpdateConstants<V>& constants,
                                                   ColumnGradients<V>& sums) {
  V after = eligibility;
  const V drive = presynaptic_drive<kind>(after, x, column.y, constants.eta);
  const V passes = unclamped_update<form>(hebb, drive, column);
  return reverse_connection<form, kind>(G, GE, hebb, eligibility, x, passes, column, constants, sums);
}

}  // namespace plasticity
