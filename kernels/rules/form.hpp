// The update of a trace in one formula for all rules. For a connection from i to j with drive X (x_i, or with
// an eligibility trace E_ij):
//   p = q_j X;  U = (l_j − s |p|) H + p;  H' = clamp(U, −c, c)
// A rule is its form and the two factors per column, l_j ("kept") and q_j ("drive"). Kernels and sweeps are
// compiled per form, not per rule.
#pragma once

#include "plasticity/spec.hpp"
#include "rules/arithmetic.hpp"

namespace plasticity {

/// A form that no rule has is not compiled.
enum class Form {
  linear,        ///< s = 0, no clamp
  read_clipped,  ///< as linear; the plastic read clamps H to ±clip
  clipped,       ///< l = 1, s = 0, clamp to ±clip
  soft,          ///< l = 1, s = 1, clamp to ±1
};

/// Whether l_j may differ from 1. Else `kept` is not read and has no gradient.
template <Form form>
inline constexpr bool has_kept = form == Form::linear || form == Form::read_clipped;

/// Whether the gradient jumps if an entry moves across its clip. A bfloat16 tape then keeps each entry on its
/// side.
template <Form form>
inline constexpr bool has_clip_side = form == Form::read_clipped || form == Form::clipped;

/// The constants that a rule and its form use, from Spec.
template <class V>
struct RuleConstants {
  V clip;
};

/// The factors of a column, which a rule computes from g_j and y_j; or their gradients.
template <class V>
struct Column {
  V kept;   ///< l_j
  V drive;  ///< q_j
};

/// The gradients of g_j and y_j.
template <class V>
struct ColumnAdjoint {
  V rate, y;
};

/// q_j of a rule that uses g_j and the product x_i y_j (or E_ij): g_j y_j, with an eligibility trace g_j.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V hebbian_drive(V rate, V y) {
  if constexpr (kind == Eligibility::none) {
    return rate * y;
  } else {
    return rate;
  }
}

/// The adjoint of hebbian_drive().
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> hebbian_adjoint(V rate, V y, V ddrive) {
  if constexpr (kind == Eligibility::none) {
    return {rounded_product(ddrive, y), rounded_product(ddrive, rate)};  // adjoint
  } else {
    return {ddrive, V{}};
  }
}

}  // namespace plasticity
