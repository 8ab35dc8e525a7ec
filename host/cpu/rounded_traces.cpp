#include "cpu/rounded_traces.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "rules/rules.hpp"

namespace plasticity::cpu {
namespace {

/// The bfloat16 `places` above or below a positive one.
float beside(float value, int places) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) +
                              (static_cast<std::uint32_t>(places) << 16));
}

/// One update without a clip.
template <Rule rule, Eligibility kind>
float unclipped(float hebb, float eligibility, float product, float rate, float y, float eta) {
  update_traces<rule, kind>(hebb, eligibility, product, rate, y, eta, std::numeric_limits<float>::infinity());
  return hebb;
}

template <Rule rule, Eligibility kind>
void settle_rows(const Connection<float>& c, const UpdateFactors<float>& update, const float* eligibility,
                 const Bfloat16* after, float bound, float* hebb) {
  // Far enough from the clip for the sweeps, whose products are rounded otherwise; nearer than bfloat16
  // tells.
  constexpr float margin = 0x1p-12f;
  const float beyond_clip = c.clip * (1 + margin), within_clip = c.clip * (1 - margin);
  const std::int64_t stride = padded<float>(c.N);
  for (std::int64_t i = 0; i < c.P; ++i) {
    for (std::int64_t j = 0; j < c.N; ++j) {
      const std::int64_t ij = i * stride + j;
      const float ends = unclipped<rule, kind>(hebb[ij], kind == Eligibility::none ? 0.0f : eligibility[ij],
                                               update.x[i] * update.y[j], update.rate[j], update.y[j], c.eta);
      const float ended = to_float(after[ij]), size = std::abs(ends);
      if (rule == Rule::hard_clip ? std::abs(ended) >= bound : std::abs(ended) > bound) {
        // At its clip exactly a trace is not clipped, and stays there.
        if (rule == Rule::hard_clip ? size < c.clip : size <= c.clip)
          hebb[ij] += std::copysign(beyond_clip, ended) - ends;
      } else if (size > c.clip) {
        hebb[ij] += std::copysign(within_clip, ends) - ends;
      }
    }
  }
}

}  // namespace

RoundedTraces::RoundedTraces(const Spec& spec)
    : rule_(spec.rule),
      kind_(spec.eligibility),
      clip_(static_cast<float>(spec.clip)),
      bound_(to_float(to_bfloat16(clip_))) {}

void RoundedTraces::keep(std::int64_t count, const float* hebb, Bfloat16* checkpoint) const {
  const float inside = beside(bound_, -1), outside = beside(bound_, 1);
  std::transform(hebb, hebb + count, checkpoint, [&](float value) {
    const Bfloat16 nearest = to_bfloat16(value);
    const float size = std::abs(value), rounded = std::abs(to_float(nearest));
    if (rule_ == Rule::hard_clip && size < clip_ && rounded >= bound_)
      return to_bfloat16(std::copysign(inside, value));
    if (rule_ == Rule::read_clip && size > clip_ && rounded <= bound_)
      return to_bfloat16(std::copysign(outside, value));
    return nearest;
  });
}

void RoundedTraces::restore(std::int64_t count, const Bfloat16* checkpoint, float* hebb) const {
  std::transform(checkpoint, checkpoint + count, hebb, [&](Bfloat16 stored) {
    const float value = to_float(stored), size = std::abs(value);
    const bool at_clip = rule_ == Rule::hard_clip   ? size == bound_
                         : rule_ == Rule::read_clip ? size <= bound_ && size > clip_
                                                    : false;
    return at_clip ? std::copysign(clip_, value) : value;
  });
}

void RoundedTraces::settle(const Connection<float>& connection, const UpdateFactors<float>& update,
                           const float* eligibility, const Bfloat16* after, float* hebb) const {
  const auto run = [&]<Rule rule> {
    switch (kind_) {
      case Eligibility::none:
        return settle_rows<rule, Eligibility::none>(connection, update, eligibility, after, bound_, hebb);
      case Eligibility::before:
        return settle_rows<rule, Eligibility::before>(connection, update, eligibility, after, bound_, hebb);
      case Eligibility::after:
        return settle_rows<rule, Eligibility::after>(connection, update, eligibility, after, bound_, hebb);
    }
  };
  if (rule_ == Rule::hard_clip) run.template operator()<Rule::hard_clip>();
  if (rule_ == Rule::read_clip) run.template operator()<Rule::read_clip>();
}

}  // namespace plasticity::cpu
