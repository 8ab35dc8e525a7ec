#pragma once

#include <cmath>
#include <cstdint>

#include "rules/rule.hpp"

// How a trace is rounded to bfloat16 for a tape, and how it is read there. To the nearest value alone, an
// entry would now and then be carried across its clip, and where forward passed the clip backward would not:
// a gradient that jumps. So an entry is rounded to the side of the clip that it is on. Of hard_clip: to the
// rounded clip or beyond it exactly where the entry is at the clip or beyond; of read_clip: beyond it exactly
// where the entry is.
namespace plasticity {

/// The clip of a rule among the bfloat16 values.
struct RoundedClip {
  float clip;    ///< as it is
  float bound;   ///< rounded
  float within;  ///< the bfloat16 below the bound
  float beyond;  ///< the one above it

  /// From a clip and the bfloat16 nearest to it, both positive.
  PLASTICITY_HOST_DEVICE RoundedClip(float exact, float nearest)
      : clip(exact), bound(nearest), within(beside(nearest, -1)), beyond(beside(nearest, 1)) {}

 private:
  // (std::bit_cast is the host's alone.)
  PLASTICITY_HOST_DEVICE static float beside(float value, int places) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    return __builtin_bit_cast(float, bits + (static_cast<std::uint32_t>(places) << 16));
  }
};

/// Whether a clip cuts there: of hard_clip an entry at the limit is one that was cut.
template <Rule rule>
PLASTICITY_HOST_DEVICE inline bool is_cut(float hebb, float limit) {
  return rule == Rule::hard_clip ? std::abs(hebb) >= limit : std::abs(hebb) > limit;
}

/// The bfloat16 that stands for `hebb` on the tape: `nearest`, the one nearest to it, or the one beside that
/// on the side of the clip that `hebb` is on.
template <Rule rule>
PLASTICITY_HOST_DEVICE inline float rounded_trace(float hebb, float nearest, const RoundedClip& at) {
  if constexpr (rule == Rule::hard_clip) {
    if (!is_cut<rule>(hebb, at.clip) && is_cut<rule>(nearest, at.bound))
      return std::copysign(at.within, hebb);
  }
  if constexpr (rule == Rule::read_clip) {
    if (is_cut<rule>(hebb, at.clip) && !is_cut<rule>(nearest, at.bound))
      return std::copysign(at.beyond, hebb);
  }
  return nearest;
}

/// A trace from the tape as a replay starts from it: what stood at the clip (or, of read_clip, not beyond it)
/// does so again.
template <Rule rule>
PLASTICITY_HOST_DEVICE inline float restored_trace(float rounded, const RoundedClip& at) {
  if constexpr (rule == Rule::hard_clip) {
    if (std::abs(rounded) == at.bound) return std::copysign(at.clip, rounded);
  }
  if constexpr (rule == Rule::read_clip) {
    if (!is_cut<rule>(rounded, at.bound) && is_cut<rule>(rounded, at.clip))
      return std::copysign(at.clip, rounded);
  }
  return rounded;
}

}  // namespace plasticity
