// Rounding a trace to bfloat16 for a tape, and restoring it. Rounding to the nearest value could move an
// entry across its clip: forward would pass its gradient and backward would not, or the reverse, and the
// gradient would jump. So an entry is rounded to its own side of the clip. Form::clipped: a rounded entry is
// within, at or beyond the rounded clip if and only if the entry is within, at or beyond the clip. (Only an
// initial trace is beyond it. If its update is zero, its gradient stops, and that of an entry at the clip
// passes.) Form::read_clipped: it is beyond if and only if the entry is beyond.
#pragma once

#include <cmath>
#include <cstdint>

#include "rules/form.hpp"

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

/// Whether an entry is clipped at `limit`. Form::clipped: an entry at the limit counts as clipped.
template <Form form>
PLASTICITY_HOST_DEVICE inline bool is_cut(float hebb, float limit) {
  return form == Form::clipped ? std::abs(hebb) >= limit : std::abs(hebb) > limit;
}

/// The value of `hebb` on the tape: `nearest`, the bfloat16 nearest to it, or that one's neighbour on the
/// same side of the clip as `hebb`.
template <Form form>
PLASTICITY_HOST_DEVICE inline float rounded_trace(float hebb, float nearest, const RoundedClip& at) {
  if constexpr (form == Form::clipped) {
    if (std::abs(nearest) == at.bound && std::abs(hebb) != at.clip)
      return std::copysign(std::abs(hebb) < at.clip ? at.within : at.beyond, hebb);
  }
  if constexpr (form == Form::read_clipped) {
    if (is_cut<form>(hebb, at.clip) && !is_cut<form>(nearest, at.bound))
      return std::copysign(at.beyond, hebb);
  }
  return nearest;
}

/// The trace from which a replay starts, from its value on the tape. Form::clipped: an entry at the rounded
/// clip becomes the exact clip. Form::read_clipped: an entry that was not clipped stays at most the exact
/// clip.
template <Form form>
PLASTICITY_HOST_DEVICE inline float restored_trace(float rounded, const RoundedClip& at) {
  if constexpr (form == Form::clipped) {
    if (std::abs(rounded) == at.bound) return std::copysign(at.clip, rounded);
  }
  if constexpr (form == Form::read_clipped) {
    if (!is_cut<form>(rounded, at.bound) && is_cut<form>(rounded, at.clip))
      return std::copysign(at.clip, rounded);
  }
  return rounded;
}

}  // namespace plasticity
