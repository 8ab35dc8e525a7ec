#pragma once

#include <cstdint>

#include "check/arguments.hpp"
#include "cpu/sweeps/bfloat16.hpp"
#include "cpu/sweeps/sweeps.hpp"
#include "rules/rounded_clip.hpp"

// Traces on a bfloat16 tape, each on its side of the clip (rules/rounded_clip.hpp). Where the tape has the
// trace of every step (K = 1, the plan's choice for a rule that clips), backward asks it on which side an
// update ended, and moves the rounded trace before the update, by no more than it was rounded, to where the
// update ends there too. With a larger K the updates between two checkpoints may end on another side than
// forward's.
namespace plasticity::cpu {

/// The clip of a Spec as bfloat16 traces know it.
class RoundedTraces {
 public:
  explicit RoundedTraces(const Spec& spec);

  /// Whether the tape also has the trace after the last update: what restore() needs of it.
  static bool needs_last(const Spec& spec, std::int64_t interval) {
    return interval == 1 && has_clip(spec.rule);
  }

  /// Hebbian traces, to the side of the clip that each is on.
  void keep(std::int64_t count, const float* hebb, Bfloat16* checkpoint) const;
  /// What stood at its clip (of read_clip: not beyond it) does so again.
  void restore(std::int64_t count, const Bfloat16* checkpoint, float* hebb) const;
  /// Moves `hebb`, the trace before an update, to where the update ends on the side of `after`, the recorded
  /// trace after it. P rows, padded; `eligibility` is the trace before the update, or null.
  void settle(const Connection<float>& connection, const UpdateFactors<float>& update,
              const float* eligibility, const Bfloat16* after, float* hebb) const;

 private:
  Rule rule_;
  Eligibility kind_;
  RoundedClip clip_;
};

}  // namespace plasticity::cpu
