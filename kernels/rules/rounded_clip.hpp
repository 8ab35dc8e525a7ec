// Rounding a trace to bfloat16 for a tape, and restoring it. Rounding to the nearest value could move an
// entry across its clip: forward would pass its gradient and backward would not, or the reverse, and the
// gradient would jump. So an entry is rounded to its own side of the clip. hard_clip: a rounded entry is at
// the rounded clip or beyond if and only if the entry is at the clip or beyond. read_clip: it is beyond if
// and only if the entry is beyond.
#pragma once

#include <cmath>
#include <cstdint>

#include "rules/rule.hpp"

namespace plasticity {

/// The clip and its bfloat16 neighbours.
struct RoundedClip {
  float clip;    ///< in float
  float bound;   ///< rounded to bfloat16
  float within;  ///< the next bfloat16 below the bound
  float beyond;  ///< the next bfloat16 above the bound

  /// `exact`: the clip. `nearest`: the bfloat16 nearest to it. Both are positive.
  PLASTICITY_HOST_DEVICE RoundedClip(float exact, float nearest)
      : clip(exact), bound(nearest), within(beside(nearest, -1)), beyond(beside(nearest, 1)) {}

 private:
  // (std::bit_cast is not available on the device.)
  PLASTICITY_HOST_DEVICE static float beside(float value, int places) {
    const auto bits = __builtin_bit_cast(std::uint32_t, value);
    return __builtin_bit_cast(float, bits + (static_cast<std::uint32_t>(places) << 16));
  }
};

/// Whether the rule clips an entry at `limit`. hard_clip: an entry at the limit counts as clipped.
template <Rule rule>
PLASTICITY_HOST_DEVICE inline bool is_cut(float hebb, float limit) {
  return rule == Rule::hard_clip ? std::abs(hebb) >= limit : std::abs(hebb) > limit;
}

/// The value of `hebb` on the tape: `nearest`, the bfloat16 nearest to it, or that one's neighbour on the
/// same side of the clip as `hebb`.
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

/// The trace from which a replay starts, from its value on the tape. hard_clip: an entry at the rounded clip
/// becomes the exact clip. read_clip: an entry that was not clipped stays at most the exact clip.
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
