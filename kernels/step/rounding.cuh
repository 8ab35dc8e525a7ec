// Traces on a bfloat16 tape, each on its side of the clip (rules/rounded_clip.hpp).
//
// With K > 1 the tape has the traces before every K-th step only, and those between are replayed in float,
// from the rounded one: at a step s after a checkpoint they differ from forward's by what the rounding, 2^-9
// of an entry at most, has become under s updates. An entry that stood at its clip starts again exactly
// there. One that comes so near to a clip between checkpoints may be replayed on its other side, and its
// gradient jumps; the plan therefore takes K = 1 for rules with a clip unless it is told otherwise.
#pragma once

#include "common/pack.cuh"
#include "rules/rounded_clip.hpp"

namespace plasticity::cuda {

__device__ inline float nearest_bfloat16(float value) { return to_float(from_float<__nv_bfloat16>(value)); }

/// The clip as the tape knows it.
__device__ inline RoundedClip rounded_clip(float clip) { return {clip, nearest_bfloat16(clip)}; }

/// `h` as it goes to the tape.
template <Rule rule>
__device__ float rounded(float h, float clip) {
  return rounded_trace<rule>(h, nearest_bfloat16(h), rounded_clip(clip));
}

/// A trace from the tape as the replay starts from it.
template <Rule rule>
__device__ float restored(float h, float clip) {
  return restored_trace<rule>(h, rounded_clip(clip));
}

/// The clip with which the adjoint of the update that led to the recorded trace `after` lets through what
/// forward let through: everything, or nothing (but an update to minus infinity).
template <Rule rule>
__device__ float clip_of_update(float after, float clip) {
  if constexpr (rule == Rule::hard_clip)
    return is_cut<rule>(after, rounded_clip(clip).bound) ? -INFINITY : INFINITY;
  return clip;
}

}  // namespace plasticity::cuda
