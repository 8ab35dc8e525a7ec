// The vectors of a backward step: from the gradient of what the step showed to ā, the gradient of its
// currents. Every block works out what needs all columns (M̄, the sum of the softmax) for itself, in a fixed
// order.
#pragma once

#include "step/cell.cuh"

namespace plasticity::cuda {

/// Where backward stands: about to find ā of step t of batch element b.
struct Moment {
  std::int64_t t, b, length;
  float q;      // gradient of v . y + v0
  float inner;  // softmax: Σ_j ȳ_j f_j
};

/// The gradient of x_i of step t: what all tiles found.
__device__ inline float row_total(const BackwardStep& step, std::int64_t t, std::int64_t b, std::int64_t i) {
  const Problem& p = step.problem;
  float sum = 0;
  for (int tile = 0; tile < p.tiles; ++tile) {
    sum += *row_of(step.rows, t % 3, (b * p.tiles + tile) * p.P + i);
  }
  return sum;
}

/// What the steps after t, and whoever looks at the outputs, want of the outputs of step t.
__device__ inline float gradient_of_shown(const BackwardStep& step, const Moment& at, std::int64_t j) {
  const Problem& p = step.problem;
  float sum = step.dy == nullptr ? 0 : step.dy[(at.t * p.B + at.b) * p.N + j];
  if (at.t + 1 == at.length) {
    if (step.dfinal_y != nullptr) sum += step.dfinal_y[at.b * p.N + j];
  } else if (p.cell != Cell::feedforward && !resets(p, at.t + 1, at.b)) {
    sum += row_total(step, at.t + 1, at.b, j);
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::hidden) {
    sum += at.q * p.modulator_weight[j];
  }
  return sum;
}

/// The gradient of post_j = f(a_j) in a cell other than the LSTM; 0 where it is clamped.
__device__ inline float gradient_of_post(const BackwardStep& step, const Moment& at, std::int64_t j) {
  const Problem& p = step.problem;
  if (p.clamp != nullptr && p.clamp[(at.t * p.B + at.b) * p.N + j] != 0) return 0;
  return *row_of(step.dpost, at.t % 2, at.b * p.N + j) + gradient_of_shown(step, at, j);
}

/// The sums that need all columns. All threads of the block call it.
__device__ inline Moment begin_moment(const BackwardStep& step, std::int64_t b, std::int64_t length,
                                      float (&words)[block_warps]) {
  const Problem& p = step.problem;
  Moment at{step.t, b, length, 0, 0};
  if (p.modulator_weight != nullptr) {
    const float* drate = row_of(step.rates, at.t % 2, b * p.N);
    float sum = 0;
    for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
      sum += p.rate == Rate::fan_out ? drate[j] * p.fan_out_weight[j] : drate[j];
    }
    const float M = *row_of(step.record.modulation, at.t + 1, b);
    at.q = block_fold(sum, Add{}, words) * (1 - M * M);  // adjoint
  }
  if (p.activation == Activation::softmax) {
    float sum = 0;
    for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
      sum += gradient_of_post(step, at, j) * *row_of(step.record.activated, at.t + 1, b * p.N + j);
    }
    at.inner = block_fold(sum, Add{}, words);
  }
  return at;
}

/// What the rate's gradient of step t adds to the sums of the parameters. One thread a column.
__device__ inline void add_rate_gradients(const BackwardStep& step, const Moment& at, std::int64_t j) {
  const Problem& p = step.problem;
  const std::int64_t bj = at.b * p.N + j;
  const float drate = *row_of(step.rates, at.t % 2, bj);
  if (p.rate == Rate::fixed) step.sum_eta[bj] += drate;
  if (step.drate != nullptr) step.drate[(at.t * p.B + at.b) * p.N + j] = drate;
  if (p.modulator_weight == nullptr) return;
  if (p.rate == Rate::fan_out) {
    step.sum_fan[bj] += drate * *row_of(step.record.modulation, at.t + 1, at.b);  // adjoint
    step.sum_fan_bias[bj] += drate;                                               // adjoint
  }
  const bool reads_cell = p.modulator_source == ModulatorSource::cell;
  step.sum_v[bj] += at.q * *row_of(reads_cell ? step.record.c : step.record.shown, at.t + 1, bj);  // adjoint
  if (j == 0) step.sum_v0[at.b] += at.q;                                                           // adjoint
}

/// ā of column j: the plastic gate's, and in an LSTM those of i, f and o, in the order i f g o. One thread a
/// column.
__device__ inline void column_gradients(const BackwardStep& step, const Moment& at, std::int64_t j,
                                        float (&da)[4]) {
  const Problem& p = step.problem;
  const Record& record = step.record;
  const std::int64_t bj = at.b * p.N + j, slot = at.t + 1;
  if (!p.lstm) {
    const Rows<float>& activated = p.activation == Activation::softmax ? record.activated : record.post;
    da[0] = through_activation(p.activation, *row_of(activated, slot, bj), gradient_of_post(step, at, j),
                               at.inner);
    return;
  }
  const float dh = gradient_of_shown(step, at, j);
  float dc = 0;
  if (at.t + 1 == at.length) {
    dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
  } else if (!resets(p, at.t + 1, at.b)) {
    dc = step.dc[bj];
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell) {
    dc += at.q * p.modulator_weight[j];  // adjoint
  }
  const float* gates = row_of(record.gates, slot, 3 * at.b * p.N + j);
  CellStep cell{};
  cell.i = gates[0];
  cell.f = gates[p.N];
  cell.o = gates[2 * p.N];
  cell.post = *row_of(record.post, slot, bj);
  cell.c = *row_of(record.c, slot, bj);
  const float c_before = resets(p, at.t, at.b) ? 0 : *row_of(record.c, at.t, bj);
  const bool clamped = p.clamp != nullptr && p.clamp[(at.t * p.B + at.b) * p.N + j] != 0;
  step.dc[bj] = reverse_lstm(cell, c_before, clamped, dh, dc, *row_of(step.dpost, at.t % 2, bj), da);
}

}  // namespace plasticity::cuda
