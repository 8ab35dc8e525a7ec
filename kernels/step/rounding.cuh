// A trace on a bfloat16 tape. Rounding alone would now and then move an entry across its clip, and where
// forward passed the clip backward would not: a gradient that jumps. So an entry is rounded to the side of
// the clip that it is on, and backward asks the tape on which side it was.
//
// With K > 1 the tape has the traces before every K-th step only, and those between are replayed in float,
// from the rounded one: at a step s after a checkpoint they differ from forward's by what the rounding, 2^-9
// of an entry at most, has become under s updates. An entry that stood at its clip starts again exactly
// there. One that comes so near to a clip between checkpoints may be replayed on its other side, and its
// gradient jumps; the plan therefore takes K = 1 for rules with a clip unless it is told otherwise.
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

/// A rounded trace as the replay starts from it: what stood at the clip (or, of read_clip, not beyond it)
/// does so again.
template <Rule rule>
__device__ float restored(float h, float clip) {
  const float size = fabsf(h), bound = rounded_clip(clip);
  if (rule == Rule::hard_clip && size == bound) return copysignf(clip, h);
  if (rule == Rule::read_clip && size <= bound && size > clip) return copysignf(clip, h);
  return h;
}

/// The clip with which the adjoint of the update that led to the recorded trace `after` lets through what
/// forward let through: everything, or nothing (but an update to minus infinity).
template <Rule rule>
__device__ float clip_of_update(float after, float clip) {
  if constexpr (rule == Rule::hard_clip) return fabsf(after) >= rounded_clip(clip) ? -INFINITY : INFINITY;
  return clip;
}

}  // namespace plasticity::cuda
