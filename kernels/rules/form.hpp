// The update of a trace in one formula for all rules. For a connection from i to j with presynaptic drive z
// (x_i, or with an eligibility trace E_ij):
//   p = q_j z;  U = (l_j − s |p|) H + p;  H' = clamp(U, −c, c)
// A rule is its form and two factors per column, the retention l_j and the gain q_j. Kernels and sweeps are
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

/// Whether l_j may differ from 1. Else the retention is not read and has no gradient.
template <Form form>
inline constexpr bool has_retention = form == Form::linear || form == Form::read_clipped;

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
struct RuleFactors {
  V retention;  ///< l_j
  V gain;       ///< q_j
};

/// The gradients of g_j and y_j.
template <class V>
struct ColumnAdjoint {
  V rate, y;
};

/// q_j of a rule that uses g_j and the product x_i y_j (or E_ij): g_j y_j, with an eligibility trace g_j.
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline V hebbian_gain(V rate, V y) {
  if constexpr (kind == Eligibility::none) {
    return rate * y;
  } else {
    return rate;
  }
}

/// The adjoint of hebbian_gain().
template <Eligibility kind, class V>
PLASTICITY_HOST_DEVICE inline ColumnAdjoint<V> hebbian_gain_adjoint(V rate, V y, V dgain) {
  if constexpr (kind == Eligibility::none) {
    return {rounded_product(dgain, y), rounded_product(dgain, rate)};  // adjoint
  } else {
    return {dgain, V{}};
  }
}

}  // namespace plasticity
