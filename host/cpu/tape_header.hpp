#pragma once

#include <cstdint>

#include "plasticity/plan.hpp"

namespace plasticity::cpu {

/// Masks that forward and backward must both get.
struct GivenMasks {
  bool reset = false, length = false, clamp = false;

  template <class Real>
  static GivenMasks of(const Masks<Real>& masks) {
    return {masks.reset != nullptr, masks.length != nullptr, masks.clamp != nullptr};
  }
  bool operator==(const GivenMasks&) const = default;
};

/// The first bytes of a tape. backward() compares them with its plan and its masks, so that it never reads a
/// tape that is not written or that has another layout.
struct alignas(64) TapeHeader {
  std::uint32_t state;  // `written`, or anything else
  GivenMasks masks;
  std::int64_t steps, batch, interval, inputs, neurons;
  double clip;
  std::uint8_t cell, rule, rate, eligibility, alpha, activation, modulator_source, precision;

  static constexpr std::uint32_t written = 0x65706174;

  TapeHeader(const Spec& spec, const PlanOptions& options, std::int64_t checkpoint_interval,
             GivenMasks given = {});
  bool operator==(const TapeHeader&) const = default;
};
static_assert(sizeof(TapeHeader) == 64);

/// Throws Error(invalid_argument) if the tape has no header, or one that differs from `expected`. The message
/// names the tape, or the mask that forward() had and backward() lacks.
void check_tape(const void* tape, const TapeHeader& expected);

}  // namespace plasticity::cpu
