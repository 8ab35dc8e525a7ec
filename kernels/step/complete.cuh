// What can be known of a step only when all of its columns are there: the softmax, the modulator M and,
// through M, the rate. The step's own launch cannot know it, so the next launch works it out, every block for
// itself: two sums over N.
#pragma once

#include "step/block.cuh"

namespace plasticity::cuda {

/// A slot of a record, from the step that it stands before.
__device__ inline std::int64_t slot_of(const Record& record, std::int64_t t) {
  return record.ring ? t % 3 : t;
}

template <class T>
__device__ T* row_of(const Rows<T>& rows, std::int64_t slot, std::int64_t offset) {
  return rows.base + slot * rows.stride + offset;
}

/// The traces on a tape, [slots,B,P,N].
template <class Trace>
__device__ const Trace* recorded_hebb(const Record& record) {
  if constexpr (sizeof(Trace) == sizeof(float))
    return record.hebb.base;
  else
    return static_cast<const Trace*>(record.hebb16);
}
template <class Trace>
__device__ const Trace* recorded_eligibility(const Record& record) {
  if constexpr (sizeof(Trace) == sizeof(float))
    return record.eligibility.base;
  else
    return static_cast<const Trace*>(record.eligibility16);
}

/// Forward, where the trace before step t is: in its checkpoint, or between two of them.
__device__ inline float* hebb_before(const Record& record, std::int64_t t, std::int64_t offset) {
  if (record.between != nullptr && t % record.interval != 0) return record.between + offset;
  return row_of(record.hebb, t / record.interval, offset);
}
__device__ inline float* eligibility_before(const Record& record, std::int64_t t, std::int64_t offset) {
  if (record.eligibility_between != nullptr && t % record.interval != 0)
    return record.eligibility_between + offset;
  return row_of(record.eligibility, t / record.interval, offset);
}

__device__ inline std::int64_t length_of(const Problem& p, std::int64_t b) {
  if (p.length == nullptr) return p.T;
  const std::int64_t length = p.length[b];
  return length < 0 ? 0 : (length > p.T ? p.T : length);
}

__device__ inline bool resets(const Problem& p, std::int64_t t, std::int64_t b) {
  return p.reset != nullptr && p.reset[t * p.B + b] != 0;
}

/// The activities of one batch element after one step. Under softmax, before a later launch has written them,
/// they are worked out from what goes into it.
struct Activities {
  const float* row;           // [N] what stands in memory
  const std::uint8_t* clamp;  // [N] with softmax; null: none
  const float* clamp_value;
  bool softmax = false, zero = false;
  float largest = 0, sum = 1;

  __device__ float activated(std::int64_t j) const { return softmax ? expf(row[j] - largest) / sum : row[j]; }
  __device__ float operator[](std::int64_t j) const {
    if (zero) return 0;
    if (!softmax) return row[j];
    return clamp != nullptr && clamp[j] != 0 ? clamp_value[j] : activated(j);
  }
};

/// The output activities of step t, which stand in `slot`. All threads of the block call it.
__device__ inline Activities outputs_of(const Problem& p, const Record& record, std::int64_t t,
                                        std::int64_t slot, std::int64_t b, float (&words)[block_warps]) {
  Activities y{};
  if (p.activation != Activation::softmax) {
    y.row = row_of(record.shown, slot, b * p.N);
    return y;
  }
  y.softmax = true;
  y.row = row_of(record.raw, slot, b * p.N);
  if (p.clamp != nullptr) {
    y.clamp = p.clamp + (t * p.B + b) * p.N;
    y.clamp_value = p.clamp_value + (t * p.B + b) * p.N;
  }
  float largest = -INFINITY, sum = 0;
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) largest = Largest{}(largest, y.row[j]);
  y.largest = block_fold(largest, Largest{}, words);
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) sum += expf(y.row[j] - y.largest);
  y.sum = block_fold(sum, Add{}, words);
  return y;
}

/// M = tanh(v . y + v0) after a step; 0 without a modulator. All threads of the block call it.
__device__ inline float modulation_of(const Problem& p, const Record& record, const Activities& y,
                                      std::int64_t slot, std::int64_t b, float (&words)[block_warps]) {
  if (p.modulator_weight == nullptr) return 0;
  const bool reads_cell = p.modulator_source == ModulatorSource::cell;
  const float* c = reads_cell ? row_of(record.c, slot, b * p.N) : nullptr;
  float sum = 0;
  for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
    sum += p.modulator_weight[j] * (reads_cell ? c[j] : y[j]);
  }
  return tanhf(block_fold(sum, Add{}, words) + *p.modulator_bias);
}

/// The rate g_j of step t.
__device__ inline float rate_of(const Problem& p, float modulation, std::int64_t t, std::int64_t b,
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
__device__ __forceinline__ void load_rates(const Problem& p, float modulation, std::int64_t t, std::int64_t b,
                                           std::int64_t column, float (&rate)[V]) {
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

/// Writes down what has been completed of step t: M, and under softmax the outputs of the block's columns.
__device__ inline void write_completed(const Problem& p, const Record& record, const Activities& y,
                                       float modulation, std::int64_t t, std::int64_t slot, std::int64_t b,
                                       int tile, float* y_out, float* modulation_out) {
  if (tile == 0 && threadIdx.x == 0 && p.modulator_weight != nullptr) {
    if (record.modulation.base != nullptr) *row_of(record.modulation, slot, b) = modulation;
    if (modulation_out != nullptr) modulation_out[t * p.B + b] = modulation;
  }
  const std::int64_t j = std::int64_t{tile} * tile_columns + threadIdx.x;
  if (!y.softmax || threadIdx.x >= tile_columns || j >= p.N) return;
  const std::int64_t bj = b * p.N + j;
  *row_of(record.shown, slot, bj) = y[j];
  if (record.activated.base != nullptr) *row_of(record.activated, slot, bj) = y.activated(j);
  y_out[t * p.B * p.N + bj] = y[j];
}

/// x of step t, in a sequence.
__device__ inline Activities inputs_of(const Problem& p, const Record& record, std::int64_t t,
                                       std::int64_t b) {
  Activities x{};
  if (p.cell == Cell::feedforward) {
    x.row = p.pre + (t * p.B + b) * p.P;
  } else {
    x.row = row_of(record.shown, slot_of(record, t), b * p.N);
    x.zero = resets(p, t, b);
  }
  return x;
}

}  // namespace plasticity::cuda
