// The update per rule, as before the forms (form.hpp). Only the resident kernels still use it.
#pragma once

#include "plasticity/spec.hpp"
#include "rules/arithmetic.hpp"

namespace plasticity {

/// The adjoint of a rule for one connection, from G, the gradient of the trace after the step.
template <class V>
struct RuleAdjoint {
  V hebb;   ///< gradient of the trace before the step
  V drive;  ///< gradient of the drive X
  V rate;   ///< gradient of g_j, to be summed over i
  V y;      ///< gradient of y_j beyond its part in X (oja), to be summed over i
};

template <Rule rule>
struct OldTraceRule;

/// A rule whose plastic read uses the trace itself.
struct PlainRead {
  template <class V>
  PLASTICITY_HOST_DEVICE static V read(V hebb, V) {
    return hebb;
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V through_read(V, V, V gradient) {
    return gradient;
  }
};

template <>
struct OldTraceRule<Rule::decay> : PlainRead {
  static constexpr bool drive_is_scaled = false;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    return multiply_add(rate, drive - hebb, hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V) {
    const V scaled = rate * G;
    return {G - scaled, scaled, G * (drive - hebb), V{}};  // adjoint
  }
};

template <>
struct OldTraceRule<Rule::oja> : PlainRead {
  static constexpr bool drive_is_scaled = false;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V y, V) {
    return multiply_add(rate, multiply_add(-y * y, hebb, drive), hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V y, V) {
    const V scaled = rate * G, forgotten = y * hebb, kept = multiply_add(-scaled * y, y, G);
    return {kept, scaled, G * multiply_add(-y, forgotten, drive), -2 * scaled * forgotten};  // adjoint
  }
};

template <>
struct OldTraceRule<Rule::hard_clip> : PlainRead {
  static constexpr bool drive_is_scaled = true;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V clip) {
    return clamp(multiply_add(rate, drive, hebb), clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V clip) {
    const V kept = through_clamp(multiply_add(rate, drive, hebb), clip, G);
    return {kept, rate * kept, kept * drive, V{}};  // adjoint
  }
};

template <>
struct OldTraceRule<Rule::soft_clip> : PlainRead {
  static constexpr bool drive_is_scaled = true;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    const V p = rate * drive;
    return clamp(multiply_add(p, room(p, hebb), hebb), 1 - V{});
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V, V) {
    const V p = rate * drive, left = room(p, hebb);
    const V kept = through_clamp(multiply_add(p, left, hebb), 1 - V{}, G), dp = kept * left;
    return {multiply_add(kept, select(p >= V{}, -p, p), kept), rate * dp, dp * drive, V{}};  // adjoint
  }

 private:
  /// The distance to the bound that p moves towards.
  template <class V>
  PLASTICITY_HOST_DEVICE static V room(V p, V hebb) {
    return select(p >= V{}, 1 - hebb, 1 + hebb);
  }
};

template <>
struct OldTraceRule<Rule::additive> : PlainRead {
  static constexpr bool drive_is_scaled = true;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V, V) {
    return multiply_add(rate, drive, hebb);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V, V drive, V rate, V, V) {
    return {G, rate * G, G * drive, V{}};  // adjoint
  }
};

template <>
struct OldTraceRule<Rule::read_clip> {
  static constexpr bool drive_is_scaled = true;
  template <class V>
  PLASTICITY_HOST_DEVICE static V update(V hebb, V drive, V rate, V y, V clip) {
    return OldTraceRule<Rule::additive>::update(hebb, drive, rate, y, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static RuleAdjoint<V> adjoint(V G, V hebb, V drive, V rate, V y, V clip) {
    return OldTraceRule<Rule::additive>::adjoint(G, hebb, drive, rate, y, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V read(V hebb, V clip) {
    return clamp(hebb, clip);
  }
  template <class V>
  PLASTICITY_HOST_DEVICE static V through_read(V hebb, V clip, V gradient) {
    return through_clamp(hebb, clip, gradient);
  }
};

}  // namespace plasticity
