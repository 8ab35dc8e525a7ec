#include "cpu/rounded_traces.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "rules/rules.hpp"

namespace plasticity::cpu {
namespace {

float nearest_bfloat16(float value) { return to_float(to_bfloat16(value)); }

/// Calls run<rule>() for a rule with a clip, and run<Rule::additive>() for the others.
template <class Run>
void with_clip_of(Rule rule, Run run) {
  switch (rule) {
    case Rule::hard_clip: return run.template operator()<Rule::hard_clip>();
    case Rule::read_clip: return run.template operator()<Rule::read_clip>();
    default: return run.template operator()<Rule::additive>();
  }
}

/// One update without a clip.
template <Rule rule, Eligibility kind>
float unclipped(float hebb, float eligibility, float product, float rate, float y, float eta) {
  update_traces<rule, kind>(hebb, eligibility, product, rate, y, eta, std::numeric_limits<float>::infinity());
  return hebb;
}

template <Rule rule, Eligibility kind>
void match_rows(const Connection<float>& c, const UpdateFactors<float>& update, const float* eligibility,
                const Bfloat16* after, const RoundedClip& clip, float* hebb) {
  // Larger than the rounding differences between this function and the sweeps, smaller than bfloat16
  // resolves.
  constexpr float margin = 0x1p-12f;
  const float beyond_clip = clip.clip * (1 + margin), within_clip = clip.clip * (1 - margin);
  const std::int64_t stride = padded<float>(c.N);
  for (std::int64_t i = 0; i < c.P; ++i) {
    for (std::int64_t j = 0; j < c.N; ++j) {
      const std::int64_t ij = i * stride + j;
      const float end = unclipped<rule, kind>(hebb[ij], kind == Eligibility::none ? 0.0f : eligibility[ij],
                                              update.x[i] * update.y[j], update.rate[j], update.y[j], c.eta);
      const float recorded = to_float(after[ij]);
      if (is_cut<rule>(recorded, clip.bound)) {
        // A trace exactly at its clip is not clipped and does not move.
        if (!is_cut<rule>(end, clip.clip)) hebb[ij] += std::copysign(beyond_clip, recorded) - end;
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
  with_clip_of(rule_, [&]<Rule rule> {
    std::transform(hebb, hebb + count, checkpoint, [at = clip_](float value) {
      return to_bfloat16(rounded_trace<rule>(value, nearest_bfloat16(value), at));
    });
  });
}

void RoundedTraces::restore(std::int64_t count, const Bfloat16* checkpoint, float* hebb) const {
  with_clip_of(rule_, [&]<Rule rule> {
    std::transform(checkpoint, checkpoint + count, hebb,
                   [at = clip_](Bfloat16 rounded) { return restored_trace<rule>(to_float(rounded), at); });
  });
}

void RoundedTraces::match_clip_side(const Connection<float>& connection, const UpdateFactors<float>& update,
                                    const float* eligibility, const Bfloat16* after, float* hebb) const {
  const auto run = [&]<Rule rule> {
    switch (kind_) {
      case Eligibility::none:
        return match_rows<rule, Eligibility::none>(connection, update, eligibility, after, clip_, hebb);
      case Eligibility::before:
        return match_rows<rule, Eligibility::before>(connection, update, eligibility, after, clip_, hebb);
      case Eligibility::after:
        return match_rows<rule, Eligibility::after>(connection, update, eligibility, after, clip_, hebb);
    }
  };
  if (rule_ == Rule::hard_clip) run.template operator()<Rule::hard_clip>();
  if (rule_ == Rule::read_clip) run.template operator()<Rule::read_clip>();
}

}  // namespace plasticity::cpu
