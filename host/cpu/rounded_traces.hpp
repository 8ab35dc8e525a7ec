#pragma once

#include <cstdint>

#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "rules/rounded_clip.hpp"

// Traces on a bfloat16 tape. For hard_clip and read_clip, rounding keeps each trace on its side of the clip
// (rules/rounded_clip.hpp).
//
// If the tape has the trace of every step (K = 1, the default for such rules), backward reads from it
// whether an update was clipped. It then moves the rounded trace before the update, by no more than the
// rounding error, so that the recomputed update is clipped in the same way. With a larger K, a recomputed
// update between two checkpoints may differ from forward's in whether it is clipped.
namespace plasticity::cpu {

/// Rounds traces to bfloat16 and back, for one Spec.
class RoundedTraces {
 public:
  explicit RoundedTraces(const Spec& spec);

  /// Whether the tape must have the trace after the last update too, for match_clip_side().
  static bool needs_last(const Spec& spec, std::int64_t interval) {
    return interval == 1 && has_clip(spec.rule);
  }

  /// Rounds Hebbian traces. Each stays on its side of the clip.
  void keep(std::int64_t count, const float* hebb, Bfloat16* checkpoint) const;
  /// Converts traces back to float. A trace that was at its clip (read_clip: not beyond it) is so again.
  void restore(std::int64_t count, const Bfloat16* checkpoint, float* hebb) const;
  /// Moves `hebb`, the trace before an update, so that the update ends on the same side of the clip as
  /// `after`, the recorded trace after it. P padded rows. `eligibility` is the trace before the update, or
  /// null.
  void match_clip_side(const SweepParams<float>& params, const UpdateVectors<float>& update,
                       const float* eligibility, const Bfloat16* after, float* hebb) const;

 private:
  Rule rule_;
  Eligibility kind_;
  RoundedClip clip_;
};

}  // namespace plasticity::cpu
