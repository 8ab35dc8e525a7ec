// A trace on a bfloat16 tape. Rounding alone would now and then move an entry across its clip, and where
// forward passed the clip backward would not: a gradient that jumps. So an entry is rounded to the side of
// the clip that it is on, and backward asks the tape on which side it was.
#pragma once

#include "common/pack.cuh"
#include "rules/rules.hpp"

namespace plasticity::cuda {

/// The clip as the tape knows it.
__device__ inline float rounded_clip(float clip) { return to_float(from_float<__nv_bfloat16>(clip)); }

/// `h` rounded to bfloat16. Of hard_clip: at the rounded clip exactly where h is at the clip. Of read_clip:
/// beyond it exactly where h is.
template <Rule rule>
__device__ float rounded(float h, float clip) {
  const float nearest = to_float(from_float<__nv_bfloat16>(h)), bound = rounded_clip(clip);
  const unsigned step = 0x10000u;  // the last place of a bfloat16
  if (rule == Rule::hard_clip && fabsf(h) < clip && fabsf(nearest) >= bound) {
    return copysignf(__uint_as_float(__float_as_uint(bound) - step), h);
  }
  if (rule == Rule::read_clip && fabsf(h) > clip && fabsf(nearest) <= bound) {
    return copysignf(__uint_as_float(__float_as_uint(bound) + step), h);
  }
  return nearest;
}

/// The clip with which the adjoint of the update that led to the recorded trace `after` lets through what
/// forward let through: everything, or nothing.
template <Rule rule>
__device__ float clip_of_update(float after, float clip) {
  if constexpr (rule == Rule::hard_clip) return fabsf(after) >= rounded_clip(clip) ? -1.0f : INFINITY;
  return clip;
}

}  // namespace plasticity::cuda
