// The completion of a step: softmax, the modulator M and the rate depend on all columns, so the launch of the
// step itself cannot compute them. Every block of the next launch computes them for itself, from two sums
// over N.
#pragma once

#include "step/block.cuh"

namespace plasticity::cuda {

/// The slot of the value before step t.
__device__ inline std::int64_t slot_before(const Record& record, std::int64_t t) {
  return record.ring ? t % 3 : t;
}

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

/// The activities of one batch element, a vector in memory. Under softmax the vector is the logits until a
/// later launch has stored the output; then operator[] computes the output.
struct Activities {
  const float* row;           // [N]
  const std::uint8_t* clamp;  // [N] softmax; null: none
  const float* clamp_value;
  bool softmax = false, zero = false;
  float max_logit = 0, sum = 1;

  /// The output before the clamp.
  __device__ float unclamped(std::int64_t j) const {
    return softmax ? expf(row[j] - max_logit) / sum : row[j];
  }
  __device__ float operator[](std::int64_t j) const {
    if (zero) return 0;
    if (!softmax) return row[j];
    return clamp != nullptr && clamp[j] != 0 ? clamp_value[j] : unclamped(j);
  }
};

/// The output of step t, which is stored in `slot`. All threads of the block call it.
__device__ inline Activities output_of_step(const StepParams& p, const Record& record, std::int64_t t,
                                            std::int64_t slot, std::int64_t b, float (&words)[block_warps]) {
  Activities y{};
  if (p.activation != Activation::softmax) {
    y.row = record.output.at(slot, b * p.N);
    return y;
  }
  y.softmax = true;
  y.row = record.logits.at(slot, b * p.N);
  if (p.clamp != nullptr) {
    y.clamp = p.clamp + (t * p.B + b) * p.N;
    y.clamp_value = p.clamp_value + (t * p.B + b) * p.N;
  }
  float max_logit = -INFINITY, sum = 0;
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) max_logit = Max{}(max_logit, y.row[j]);
  y.max_logit = block_fold(max_logit, Max{}, words);
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) sum += expf(y.row[j] - y.max_logit);
  y.sum = block_fold(sum, Add{}, words);
  return y;
}

/// M = tanh(v . y + v0) after a step; 0 without a modulator. All threads of the block call it.
__device__ inline float modulation_of(const StepParams& p, const Record& record, const Activities& y,
                                      std::int64_t slot, std::int64_t b, float (&words)[block_warps]) {
  if (p.modulator_weight == nullptr) return 0;
  const bool reads_cell = p.modulator_source == ModulatorSource::cell;
  const float* c = reads_cell ? record.c.at(slot, b * p.N) : nullptr;
  float sum = 0;
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
    sum += p.modulator_weight[j] * (reads_cell ? c[j] : y[j]);
  }
  return tanhf(block_fold(sum, Add{}, words) + *p.modulator_bias);
}

/// The rate g_j of step t.
__device__ inline float rate_of(const StepParams& p, float modulation, std::int64_t t, std::int64_t b,
                                std::int64_t j) {
  switch (p.rate) {
    case Rate::fixed: return *p.eta;
    case Rate::modulated: return modulation;
    case Rate::fan_out: return modulation * p.fan_out_weight[j] + p.fan_out_bias[j];
    case Rate::external: return p.external_rate[(t * p.B + b) * p.N + j];
  }
  return 0;
}

/// The rates g_j of step t for V neighbouring columns from `column` on.
template <int V>
__device__ __forceinline__ void load_rates(const StepParams& p, float modulation, std::int64_t t,
                                           std::int64_t b, std::int64_t column, float (&rate)[V]) {
  if (p.rate == Rate::fan_out) {
    float bias[V];
    load_row(p.fan_out_weight + column, rate);
    load_row(p.fan_out_bias + column, bias);
#pragma unroll
    for (int k = 0; k < V; ++k) rate[k] = modulation * rate[k] + bias[k];
  } else if (p.rate == Rate::external) {
    load_row(p.external_rate + (t * p.B + b) * p.N + column, rate);
  } else {
    const float shared = p.rate == Rate::fixed ? *p.eta : modulation;
#pragma unroll
    for (int k = 0; k < V; ++k) rate[k] = shared;
  }
}

/// Stores the completed part of step t: M, and under softmax the output of the block's columns.
__device__ inline void store_completed(const StepParams& p, const Record& record, const Activities& y,
                                       float modulation, std::int64_t t, std::int64_t slot, std::int64_t b,
                                       int tile, float* y_out, float* modulation_out) {
  if (tile == 0 && threadIdx.x == 0 && p.modulator_weight != nullptr) {
    if (record.modulation.base != nullptr) *record.modulation.at(slot, b) = modulation;
    if (modulation_out != nullptr) modulation_out[t * p.B + b] = modulation;
  }
  const OwnColumn own(p, tile);
  if (!y.softmax || !own.exists) return;
  const std::int64_t bj = b * p.N + own.j;
  *record.output.at(slot, bj) = y[own.j];
  if (record.unclamped.base != nullptr) *record.unclamped.at(slot, bj) = y.unclamped(own.j);
  y_out[t * p.B * p.N + bj] = y[own.j];
}

/// x of step t of a sequence.
__device__ inline Activities presynaptic_of(const StepParams& p, const Record& record, std::int64_t t,
                                            std::int64_t b) {
  Activities x{};
  if (p.cell == Cell::feedforward) {
    x.row = p.pre + (t * p.B + b) * p.P;
  } else {
    x.row = record.output.at(slot_before(record, t), b * p.N);
    x.zero = resets(p, t, b);
  }
  return x;
}

/// M of step t on a tape; 0 without a modulator.
__device__ inline float recorded_modulation(const StepParams& p, const Record& record, std::int64_t t,
                                            std::int64_t b) {
  return p.modulator_weight == nullptr ? 0 : *record.modulation.at(t + 1, b);
}

/// The inputs of the trace update of step t for column j, from a tape.
struct RecordedUpdate {
  Activities x;
  float y, rate;

  __device__ RecordedUpdate(const StepParams& p, const Record& record, std::int64_t t, std::int64_t b,
                            std::int64_t j)
      : x(presynaptic_of(p, record, t, b)),
        y(*record.post.at(t + 1, b * p.N + j)),
        rate(rate_of(p, recorded_modulation(p, record, t, b), t, b, j)) {}
};

}  // namespace plasticity::cuda
