#pragma once

#include <cstdint>

#include "plasticity/plan.hpp"

namespace plasticity::cpu {

/// The first bytes of a tape. backward() compares them with its plan, so that it never reads a tape that is
/// not written or that has another layout.
struct alignas(64) TapeHeader {
  std::uint64_t state;  // `written`, or anything else
  std::int64_t steps, batch, interval, inputs, neurons;
  double clip;
  std::uint8_t cell, rule, rate, eligibility, alpha, activation, modulator_source, precision;

  static constexpr std::uint64_t written = 0x65706174'706c6173;

  TapeHeader(const Spec& spec, const PlanOptions& options, std::int64_t checkpoint_interval);
  bool operator==(const TapeHeader&) const = default;
};
static_assert(sizeof(TapeHeader) == 64);

/// Throws Error(invalid_argument) if the tape has no header, or one that differs from `expected`.
void check_tape(const void* tape, const TapeHeader& expected);

}  // namespace plasticity::cpu
