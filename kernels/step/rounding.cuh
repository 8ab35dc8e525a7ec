// Traces on a bfloat16 tape, each rounded to its own side of the clip (rules/rounded_clip.hpp).
//
// With K > 1 the tape stores only the traces before every K-th step. Backward replays the others in float,
// starting from the rounded checkpoint. s steps after the checkpoint, a replayed trace differs from forward's
// by the rounding error (at most 2^-9 of an entry) as s updates have changed it. An entry at its clip
// restarts exactly there. An entry close to its clip may be replayed on the other side, and then its gradient
// jumps. The plan therefore takes K = 1 for rules that clip, with ±clip or ±1, unless the caller sets K.
#pragma once

#include "common/pack.cuh"
#include "rules/rounded_clip.hpp"

namespace plasticity::cuda {

__device__ inline float nearest_bfloat16(float value) { return to_float(from_float<__nv_bfloat16>(value)); }

/// The clip, rounded as on the tape.
__device__ inline RoundedClip rounded_clip(float clip) { return {clip, nearest_bfloat16(clip)}; }

/// The value of `h` on the tape.
template <Form form>
__device__ float rounded(float h, float clip) {
  return rounded_trace<form>(h, nearest_bfloat16(h), rounded_clip(clip));
}

/// The trace from which a replay restarts, from its value on the tape.
template <Form form>
__device__ float restored(float h, float clip) {
  return restored_trace<form>(h, rounded_clip(clip));
}

}  // namespace plasticity::cuda
