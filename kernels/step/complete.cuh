// The completion of a step: the modulator M and the rate depend on all columns, so the launch of the step
// itself cannot compute them. Every warp of the next launch computes M for itself. A softmax has a launch of
// its own.
#pragma once

#include "rules/factors.hpp"
#include "step/grid.hpp"
#include "step/sums.cuh"

namespace plasticity::cuda {

__device__ inline std::int64_t length_of(const StepParams& p, std::int64_t b) {
  if (p.length == nullptr) return p.T;
  const std::int64_t length = p.length[b];
  return length < 0 ? 0 : (length > p.T ? p.T : length);
}

__device__ inline bool resets(const StepParams& p, std::int64_t t, std::int64_t b) {
  return p.reset != nullptr && p.reset[t * p.B + b] != 0;
}

__device__ inline bool clamps(const StepParams& p, std::int64_t t, std::int64_t b, std::int64_t j) {
  return p.clamp != nullptr && p.clamp[(t * p.B + b) * p.N + j] != 0;
}

/// The activities of one batch element, a vector in memory.
struct Activities {
  const float* row;   // [N]
  bool zero = false;  // after a reset

  __device__ float operator[](std::int64_t j) const { return zero ? 0 : row[j]; }
};

/// The vector that the modulator reads, [B,N] per slot.
__device__ inline const TimeSlots<float>& modulator_input(const StepParams& p, const Record& record) {
  return p.modulator_source == ModulatorSource::cell ? record.c : record.output;
}

/// M = tanh(v . y + v0) of the step whose values are in `slot`; 0 without a modulator. Every warp computes
/// it.
__device__ inline float modulation_of(const StepParams& p, const Record& record, std::int64_t slot,
                                      std::int64_t b) {
  if (p.modulator_weight == nullptr) return 0;
  const float* y = modulator_input(p, record).at(slot, b * p.N);
  const float bias = *p.modulator_bias;
  const float sum = dot_columns(p.N, p.modulator_weight, y);
  return tanhf(sum + bias);
}

/// The rate g_j of step t.
__device__ inline float rate_of(const StepParams& p, float modulation, std::int64_t t, std::int64_t b,
                                std::int64_t j) {
  switch (p.rate) {
    case Rate::fixed: return *p.eta;
    case Rate::modulated: return modulation;
    case Rate::fan_out: return multiply_add(modulation, p.fan_out_weight[j], p.fan_out_bias[j]);
    case Rate::external: return p.external_rate[(t * p.B + b) * p.N + j];
  }
  return 0;
}

/// The inputs of the rates of V neighbouring columns, besides M. load() only loads, so that the
/// loads overlap with others.
template <int V>
struct RateParts {
  float weight[V], bias[V];

  /// For step t, from `column` on.
  __device__ __forceinline__ void load(const StepParams& p, std::int64_t t, std::int64_t b,
                                       std::int64_t column) {
    if (p.rate == Rate::fan_out) {
      load_row(p.fan_out_weight + column, weight);
      load_row(p.fan_out_bias + column, bias);
    } else if (p.rate == Rate::external) {
      load_row(p.external_rate + (t * p.B + b) * p.N + column, bias);
    } else if (p.rate == Rate::fixed) {
      const float eta = *p.eta;
#pragma unroll
      for (int k = 0; k < V; ++k) bias[k] = eta;
    }
  }
  __device__ __forceinline__ float rate(Rate kind, float modulation, int k) const {
    if (kind == Rate::fan_out) return multiply_add(modulation, weight[k], bias[k]);
    return kind == Rate::modulated ? modulation : bias[k];
  }
};

/// The factors of V columns in the trace update of a step, from their rates and y.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void compute_factors(const StepParams& p, const float (&rate)[V],
                                                const float (&y)[V], float (&retention)[V],
                                                float (&gain)[V]) {
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const RuleFactors<float> column =
        rule_factors<form, kind>(p.rule, rate[k], y[k], RuleConstants<float>{p.clip});
    retention[k] = column.retention;
    gain[k] = column.gain;
  }
}

/// Stores M of step t. One thread of the batch element calls it.
__device__ inline void store_modulation(const StepParams& p, const Record& record, float modulation,
                                        std::int64_t t, std::int64_t slot, std::int64_t b,
                                        float* modulation_out) {
  if (p.modulator_weight == nullptr) return;
  if (record.modulation.base != nullptr) *record.modulation.at(slot, b) = modulation;
  if (modulation_out != nullptr) modulation_out[t * p.B + b] = modulation;
}

/// The row of x of step t, whose vectors are in `slot`. After a reset x is zero instead.
__device__ inline const float* presynaptic_row(const StepParams& p, const Record& record, std::int64_t t,
                                               std::int64_t slot, std::int64_t b) {
  return p.cell == Cell::feedforward ? p.pre + (t * p.B + b) * p.P : record.output.at(slot, b * p.N);
}

/// x of step t of a sequence.
__device__ inline Activities presynaptic_of(const StepParams& p, const Record& record, std::int64_t t,
                                            std::int64_t b) {
  return {presynaptic_row(p, record, t, slot_before(record, t), b),
          p.cell != Cell::feedforward && resets(p, t, b)};
}

/// M of step t on a tape; 0 without a modulator.
__device__ inline float recorded_modulation(const StepParams& p, const Record& record, std::int64_t t,
                                            std::int64_t b) {
  return p.modulator_weight == nullptr ? 0 : *record.modulation.at(t + 1, b);
}

/// y_j and the rate in the trace update of step t, from a tape.
struct RecordedUpdate {
  float y, rate;

  __device__ RecordedUpdate(const StepParams& p, const Record& record, std::int64_t t, std::int64_t b,
                            std::int64_t j)
      : y(*record.post.at(t + 1, b * p.N + j)),
        rate(rate_of(p, recorded_modulation(p, record, t, b), t, b, j)) {}
};

}  // namespace plasticity::cuda
