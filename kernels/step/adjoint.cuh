// The vectors of a backward step: from the gradient of the output to ā, the gradient of the currents. One
// warp per batch element computes them for a block's columns, and the sums over all columns (the gradient of
// the modulator, the sum of the softmax) for itself.
#pragma once

#include "step/cell.cuh"

namespace plasticity::cuda {

/// Step t of batch element b, before its ā is computed.
struct BackwardPoint {
  std::int64_t t, b, length;
  float q;      // gradient of v . y + v0
  float inner;  // softmax: Σ_j ȳ_j f_j
};

/// The gradient of x_i of step t: the sum over the tiles of its part from the read, then of that from the
/// update.
__device__ inline float dx_total(const BackwardStep& step, std::int64_t t, std::int64_t b, std::int64_t i) {
  const StepParams& p = step.params;
  const std::int64_t first = b * p.tiles * p.P + i;
  const float *read = step.dx_read.at(t % 2, first), *update = step.dx_update.at(t % 3, first);
  constexpr int loaded = 8;  // tiles, before the first is added
  float from_read = 0, from_update = 0;
#pragma unroll 1
  for (int tile = 0; tile < p.tiles; tile += loaded) {
    float r[loaded], u[loaded];
#pragma unroll
    for (int c = 0; c < loaded; ++c) {
      const bool exists = tile + c < p.tiles;
      r[c] = exists ? read[(tile + c) * p.P] : 0;
      u[c] = exists ? update[(tile + c) * p.P] : 0;
    }
#pragma unroll
    for (int c = 0; c < loaded; ++c) {  // a sum that began with 0 is never −0, so adding 0 keeps its bits
      from_read += r[c];
      from_update += u[c];
    }
  }
  return from_read + from_update;
}

/// The gradient of output j of step t from the upstream gradient and from step t + 1.
__device__ __forceinline__ float arriving_gradient(const BackwardStep& step, std::int64_t t, std::int64_t b,
                                                   std::int64_t length, std::int64_t j) {
  const StepParams& p = step.params;
  float sum = step.dy == nullptr ? 0 : step.dy[(t * p.B + b) * p.N + j];
  if (t + 1 == length) {
    if (step.dfinal_y != nullptr) sum += step.dfinal_y[b * p.N + j];
  } else if (p.cell != Cell::feedforward && !resets(p, t + 1, b)) {
    sum += dx_total(step, t + 1, b, j);  // adjoint
  }
  return sum;
}

/// The gradient of output j: that which arrives, and the modulator's.
__device__ __forceinline__ float output_gradient(const StepParams& p, const BackwardPoint& at, std::int64_t j,
                                                 float arriving) {
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::hidden)
    return multiply_add(at.q, p.modulator_weight[j], arriving);  // adjoint
  return arriving;
}

/// The gradient of post_j = f(a_j) in a cell other than the LSTM; 0 if the column is clamped.
__device__ __forceinline__ float post_gradient(const BackwardStep& step, const BackwardPoint& at,
                                               std::int64_t j, float arriving) {
  if (clamps(step.params, at.t, at.b, j)) return 0;
  return *step.dpost.at(at.t % 2, at.b * step.params.N + j) + output_gradient(step.params, at, j, arriving);
}

/// The sums over all columns. All threads of a warp call it.
__device__ inline BackwardPoint reduce_columns(const BackwardStep& step, std::int64_t b,
                                               std::int64_t length) {
  const StepParams& p = step.params;
  BackwardPoint at{step.t, b, length, 0, 0};
  if (p.modulator_weight != nullptr) {
    const float* dg = step.dg.at(at.t % 2, b * p.N);
    const bool fans_out = p.rate == Rate::fan_out;
    const float M = *step.record.modulation.at(at.t + 1, b);
    const float sum = fans_out ? dot_columns(p.N, dg, p.fan_out_weight)
                               : fold_columns(
                                     p.N, 0, [&](float s, int j) { return s + dg[j]; }, Add{});
    at.q = sum * multiply_add(-M, M, 1.0f);  // adjoint
  }
  if (p.activation == Activation::softmax) {
    const float* f = step.record.unclamped.at(at.t + 1, b * p.N);
    at.inner = fold_columns<1>(  // each column loads several tiles at once
        p.N, 0,
        [&](float s, int j) {
          return multiply_add(post_gradient(step, at, j, arriving_gradient(step, at.t, b, length, j)), f[j],
                              s);
        },
        Add{});
  }
  return at;
}

/// The rate's gradient of step t for one column, and the parameters' sums to which it is added. One thread
/// per column. load() only loads, so that the loads overlap with others.
struct RateGradient {
  float dg, modulation, input, eta, fan, fan_bias, v;

  __device__ __forceinline__ void load(const BackwardStep& step, std::int64_t t, std::int64_t b,
                                       std::int64_t j) {
    const StepParams& p = step.params;
    const std::int64_t bj = b * p.N + j;
    dg = *step.dg.at(t % 2, bj);
    if (p.rate == Rate::fixed) eta = step.sum_eta[bj];
    if (p.modulator_weight == nullptr) return;
    if (p.rate == Rate::fan_out) {
      modulation = *step.record.modulation.at(t + 1, b);
      fan = step.sum_fan[bj];
      fan_bias = step.sum_fan_bias[bj];
    }
    input = *modulator_input(p, step.record).at(t + 1, bj);
    v = step.sum_v[bj];
  }
  __device__ __forceinline__ void add(const BackwardStep& step, const BackwardPoint& at,
                                      std::int64_t j) const {
    const StepParams& p = step.params;
    const std::int64_t bj = at.b * p.N + j;
    if (p.rate == Rate::fixed) step.sum_eta[bj] = eta + dg;
    if (step.drate != nullptr) step.drate[(at.t * p.B + at.b) * p.N + j] = dg;
    if (p.modulator_weight == nullptr) return;
    if (p.rate == Rate::fan_out) {
      step.sum_fan[bj] = multiply_add(dg, modulation, fan);  // adjoint
      step.sum_fan_bias[bj] = fan_bias + dg;                 // adjoint
    }
    step.sum_v[bj] = multiply_add(at.q, input, v);  // adjoint
    if (j == 0) step.sum_v0[at.b] += at.q;          // adjoint
  }
};

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

/// The upstream gradient of the pre-activation of step t, which ā of the plastic gate includes.
__device__ inline float upstream_of_current(const BackwardStep& step, std::int64_t t, std::int64_t bj) {
  return step.dcurrent == nullptr ? 0 : step.dcurrent[t * step.params.B * step.params.N + bj];
}

/// ā of column j: of the plastic gate at 0; in an LSTM of all gates, in the order i f g o. One thread per
/// column. `arriving`: its arriving_gradient().
__device__ __forceinline__ void column_gradients(const BackwardStep& step, const BackwardPoint& at,
                                                 std::int64_t j, float arriving, float (&da)[4]) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t bj = at.b * p.N + j;
  if (!p.lstm) {
    const TimeSlots<float>& f = p.activation == Activation::softmax ? record.unclamped : record.post;
    da[0] =
        current_gradient(p.activation, *f.at(at.t + 1, bj), post_gradient(step, at, j, arriving), at.inner) +
        upstream_of_current(step, at.t, bj);
    return;
  }
  const float dh = output_gradient(p, at, j, arriving);
  float dc = 0;
  if (at.t + 1 == at.length) {
    dc = step.dfinal_c == nullptr ? 0 : step.dfinal_c[bj];
  } else if (!resets(p, at.t + 1, at.b)) {
    dc = step.dc[bj];
  }
  if (p.modulator_weight != nullptr && p.modulator_source == ModulatorSource::cell) {
    dc = multiply_add(at.q, p.modulator_weight[j], dc);  // adjoint
  }
  const CellStep cell = recorded_cell(p, record, at.t, at.b, j);
  const float c_before = resets(p, at.t, at.b) ? 0 : *record.c.at(at.t, bj);
  const bool clamped = clamps(p, at.t, at.b, j);
  step.dc[bj] = reverse_lstm(cell, c_before, clamped, dh, dc, *step.dpost.at(at.t % 2, bj), da);
  da[2] += upstream_of_current(step, at.t, bj);
}

}  // namespace plasticity::cuda
