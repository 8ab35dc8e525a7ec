// The vectors of a backward step: from the gradient of the output to ā, the gradient of the currents. Every
// block computes the sums over all columns (the gradient of the modulator, the sum of the softmax) for
// itself, in one fixed order.
#pragma once

#include "step/cell.cuh"

namespace plasticity::cuda {

/// Step t of batch element b, before its ā is computed.
struct BackwardPoint {
  std::int64_t t, b, length;
  float q;      // gradient of v . y + v0
  float inner;  // softmax: Σ_j ȳ_j f_j
};

/// The gradient of x_i of step t, summed over the tiles.
__device__ inline float dx_total(const BackwardStep& step, std::int64_t t, std::int64_t b, std::int64_t i) {
  const StepParams& p = step.params;
  float sum = 0;
  for (int tile = 0; tile < p.tiles; ++tile) sum += *step.dx.at(t % 3, (b * p.tiles + tile) * p.P + i);
  return sum;
}

/// The gradient of output j of step t, from the upstream gradient, step t + 1 and the modulator. `dx_next(j)`
/// returns the gradient of x_j of step t + 1.
template <class NextGradient>
__device__ __forceinline__ float output_gradient(const BackwardStep& step, const BackwardPoint& at,
                                                 std::int64_t j, NextGradient dx_next) {
  const StepParams& p = step.params;
  float sum = step.dy == nullptr ? 0 : step.dy[(at.t * p.B + at.b) * p.N + j];
  if (at.t + 1 == at.length) {
    if (step.dfinal_y != nullptr) sum += step.dfinal_y[at.b * p.N + j];
  } else if (p.cell != Cell::feedforward && !resets(p, at.t + 1, at.b)) {
    sum += dx_next(j);  // adjoint
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::hidden)
    sum += at.q * p.modulator_weight[j];  // adjoint
  return sum;
}
__device__ inline float output_gradient(const BackwardStep& step, const BackwardPoint& at, std::int64_t j) {
  return output_gradient(step, at, j,
                         [&](std::int64_t column) { return dx_total(step, at.t + 1, at.b, column); });
}

/// The gradient of post_j = f(a_j) in a cell other than the LSTM; 0 if the column is clamped.
__device__ inline float post_gradient(const BackwardStep& step, const BackwardPoint& at, std::int64_t j) {
  if (clamps(step.params, at.t, at.b, j)) return 0;
  return *step.dpost.at(at.t % 2, at.b * step.params.N + j) + output_gradient(step, at, j);
}

/// The sums over all columns. All threads of the block call it.
__device__ inline BackwardPoint reduce_columns(const BackwardStep& step, std::int64_t b, std::int64_t length,
                                               float (&words)[block_warps]) {
  const StepParams& p = step.params;
  BackwardPoint at{step.t, b, length, 0, 0};
  if (p.modulator_weight != nullptr) {
    const float* dg = step.dg.at(at.t % 2, b * p.N);
    float sum = 0;
    for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
      sum += p.rate == Rate::fan_out ? dg[j] * p.fan_out_weight[j] : dg[j];
    }
    const float M = *step.record.modulation.at(at.t + 1, b);
    at.q = block_fold(sum, Add{}, words) * (1 - M * M);  // adjoint
  }
  if (p.activation == Activation::softmax) {
    float sum = 0;
    for (std::int64_t j = threadIdx.x; j < p.N; j += block_threads) {
      sum += post_gradient(step, at, j) * *step.record.unclamped.at(at.t + 1, b * p.N + j);
    }
    at.inner = block_fold(sum, Add{}, words);
  }
  return at;
}

/// The vector that the modulator reads, [B,N] per slot.
__device__ inline const TimeSlots<float>& modulator_input(const StepParams& p, const Record& record) {
  return p.modulator_source == ModulatorSource::cell ? record.c : record.output;
}

/// Adds the rate's gradient of step t to the parameters' sums. One thread per column.
__device__ inline void add_rate_gradients(const BackwardStep& step, const BackwardPoint& at, std::int64_t j) {
  const StepParams& p = step.params;
  const std::int64_t bj = at.b * p.N + j;
  const float dg = *step.dg.at(at.t % 2, bj);
  if (p.rate == Rate::fixed) step.sum_eta[bj] += dg;
  if (step.drate != nullptr) step.drate[(at.t * p.B + at.b) * p.N + j] = dg;
  if (p.modulator_weight == nullptr) return;
  if (p.rate == Rate::fan_out) {
    step.sum_fan[bj] += dg * *step.record.modulation.at(at.t + 1, at.b);  // adjoint
    step.sum_fan_bias[bj] += dg;                                          // adjoint
  }
  step.sum_v[bj] += at.q * *modulator_input(p, step.record).at(at.t + 1, bj);  // adjoint
  if (j == 0) step.sum_v0[at.b] += at.q;                                       // adjoint
}

/// The LSTM cell of column j after step t, from the tape.
__device__ inline CellStep recorded_cell(const StepParams& p, const Record& record, std::int64_t t,
                                         std::int64_t b, std::int64_t j) {
  const float* gates = record.gates.at(t + 1, 3 * b * p.N + j);
  CellStep cell{};
  cell.i = gates[0];
  cell.f = gates[p.N];
  cell.o = gates[2 * p.N];
  cell.post = *record.post.at(t + 1, b * p.N + j);
  cell.c = *record.c.at(t + 1, b * p.N + j);
  return cell;
}

/// ā of column j: of the plastic gate at 0; in an LSTM of all gates, in the order i f g o. One thread per
/// column.
__device__ inline void column_gradients(const BackwardStep& step, const BackwardPoint& at, std::int64_t j,
                                        float (&da)[4]) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t bj = at.b * p.N + j;
  if (!p.lstm) {
    const TimeSlots<float>& f = p.activation == Activation::softmax ? record.unclamped : record.post;
    da[0] = current_gradient(p.activation, *f.at(at.t + 1, bj), post_gradient(step, at, j), at.inner);
    return;
  }
  const float dh = output_gradient(step, at, j);
  float dc = 0;
  if (at.t + 1 == at.length) {
    dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
  } else if (!resets(p, at.t + 1, at.b)) {
    dc = step.dc[bj];
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell) {
    dc += at.q * p.modulator_weight[j];  // adjoint
  }
  const CellStep cell = recorded_cell(p, record, at.t, at.b, j);
  const float c_before = resets(p, at.t, at.b) ? 0 : *record.c.at(at.t, bj);
  const bool clamped = clamps(p, at.t, at.b, j);
  step.dc[bj] = reverse_lstm(cell, c_before, clamped, dh, dc, *step.dpost.at(at.t % 2, bj), da);
}

}  // namespace plasticity::cuda
