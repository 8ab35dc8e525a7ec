#include "cpu/rounded_traces.hpp"

#include <algorithm>
#include <cmath>

#include "rules/factors.hpp"

namespace plasticity::cpu {
namespace {

float nearest_bfloat16(float value) { return to_float(to_bfloat16(value)); }

template <Form form, Eligibility kind>
void match_rows(const SweepParams<float>& params, const UpdateVectors<float>& update,
                const float* eligibility, const Bfloat16* after, const RoundedClip& clip, float* hebb) {
  // Larger than the rounding differences between this function and the sweeps, smaller than bfloat16
  // resolves.
  constexpr float margin = 0x1p-12f;
  const float beyond_clip = clip.clip * (1 + margin), within_clip = clip.clip * (1 - margin);
  const std::int64_t stride = padded<float>(params.N);
  for (std::int64_t j = 0; j < params.N; ++j) {
    const ColumnFactors<float> factors{has_retention<form> ? update.retention[j] : 1, update.gain[j],
                                       update.y[j]};
    for (std::int64_t i = 0; i < params.P; ++i) {
      const std::int64_t ij = i * stride + j;
      float e = kind == Eligibility::none ? 0.0f : eligibility[ij];
      const float drive = presynaptic_drive<kind>(e, update.x[i], update.y[j], params.eta);
      const float end = unclamped_update<form>(hebb[ij], drive, factors);
      const float recorded = to_float(after[ij]);
      if (is_cut<form>(recorded, clip.bound)) {
        // A trace exactly at its clip is not clipped and does not move.
        if (!is_cut<form>(end, clip.clip)) hebb[ij] += std::copysign(beyond_clip, recorded) - end;
      } else if (std::abs(end) > clip.clip) {
        hebb[ij] += std::copysign(within_clip, end) - end;
      }
    }
  }
}

}  // namespace

RoundedTraces::RoundedTraces(const Spec& spec)
    : rule_(spec.rule),
      kind_(spec.eligibility),
      clip_(static_cast<float>(spec.clip), nearest_bfloat16(static_cast<float>(spec.clip))) {}

void RoundedTraces::keep(std::int64_t count, const float* hebb, Bfloat16* checkpoint) const {
  dispatch_form(form_of(rule_), [&]<Form form> {
    std::transform(hebb, hebb + count, checkpoint, [at = clip_](float value) {
      return to_bfloat16(rounded_trace<form>(value, nearest_bfloat16(value), at));
    });
  });
}

void RoundedTraces::restore(std::int64_t count, const Bfloat16* checkpoint, float* hebb) const {
  dispatch_form(form_of(rule_), [&]<Form form> {
    std::transform(checkpoint, checkpoint + count, hebb,
                   [at = clip_](Bfloat16 rounded) { return restored_trace<form>(to_float(rounded), at); });
  });
}

void RoundedTraces::match_clip_side(const SweepParams<float>& params, const UpdateVectors<float>& update,
                                    const float* eligibility, const Bfloat16* after, float* hebb) const {
  dispatch_form(form_of(rule_), [&]<Form form> {
    if constexpr (has_clip_side<form>) {
      dispatch_eligibility(kind_, [&]<Eligibility kind> {
        match_rows<form, kind>(params, update, eligibility, after, clip_, hebb);
      });
    }
  });
}

}  // namespace plasticity::cpu
