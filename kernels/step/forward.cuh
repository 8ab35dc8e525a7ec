// One step of the whole batch:
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise     the update of step t − 1, which depends on all of y(t−1)
//   s_j = Σ_i x_i (w_ij + α_ij φ(H_ij))              the plastic read of step t
//   y_j = f(u_j + s_j), the clamp, the LSTM cell     for the block's columns
// Grid: one block of 256 threads per tile of 32 postsynaptic columns and per one or two batch elements. A
// block reads all P rows. On chip: the sums, and the next rows of every thread (ahead.cuh). Bytes: the trace
// read once and written once, 8 B P N, and 2 B P N more for a bfloat16 checkpoint (only the tape is rounded,
// not the trace of the steps). From L2: W and α, 8 P N per block of batch elements, and in an LSTM the gate
// weights, 12 N N.
#pragma once

#include <algorithm>

#include "step/cell.cuh"
#include "step/forward_sums.cuh"
#include "step/launch.hpp"

namespace plasticity::cuda {

// The gate product of an LSTM is part of the step's launch for all sizes. A block reads the gate weights of
// its columns for its one or two batch elements from L2; a GEMM per step would read them once per batch. It
// is not used: cuBLAS's bits depend on the number of rows, so a sample would have other bits alone than in a
// batch.

/// x(t) times the columns of a matrix [P,..] that begin at `matrix`, for the block's elements. `stride`: from
/// one row to the next.
template <int V>
__device__ __forceinline__ void sum_matrix(const ForwardStep& step, const BlockTile& block,
                                           const ThreadTile<V>& at, const float* matrix, std::int64_t stride,
                                           TileSums (&parts)[max_elements]) {
  const StepParams& p = step.params;
  const float* x[max_elements];
  ThreadSums<V> s[max_elements] = {};
#pragma unroll
  for (int e = 0; e < max_elements; ++e) {
    const ForwardElement element(step, block.first + (e < block.elements ? e : 0), block.tile);
    const bool x_is_zero = element.zeroed && p.cell != Cell::feedforward;
    x[e] = element.ended || x_is_zero ? nullptr : presynaptic_now(step, element).row;
  }
  const float* row = matrix + at.column;
  const int count = at.inside ? at.rows(p.P) : 0;
#pragma unroll(4 / classes_per_thread <V>)
  for (int first = 0; first < count; first += classes_per_thread<V>) {
#pragma unroll
    for (int c = 0; c < classes_per_thread<V>; ++c) {
      if (first + c >= count) continue;
      const std::int64_t i = at.group + std::int64_t{first + c} * ThreadTile<V>::groups;
      float w[V];
      load_weights(row + i * stride, w);
#pragma unroll
      for (int e = 0; e < max_elements; ++e) {
        if (x[e] == nullptr) continue;
        const float x_now = __ldg(x[e] + i);
#pragma unroll
        for (int k = 0; k < V; ++k) s[e][c][k] = multiply_add(x_now, w[k], s[e][c][k]);
      }
    }
  }
#pragma unroll
  for (int e = 0; e < max_elements; ++e) store_sums(at, s[e], parts[e]);
}

/// Stores the state of column j after the step, the current, and y except under softmax.
__device__ inline void store_cell(const ForwardStep& step, const StepSlots& slots, const CellStep& cell,
                                  std::int64_t b, std::int64_t j) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t N = p.N, bj = b * N + j;
  if (step.a != nullptr) step.a[step.t * p.B * N + bj] = cell.current;
  if (p.activation == Activation::softmax) {
    *record.logits.at(slots.next, bj) = cell.current;
    return;
  }
  *record.post.at(slots.next, bj) = cell.post;
  if (p.lstm) {
    *record.c.at(slots.next, bj) = cell.c;
    if (record.gates.base != nullptr) {
      float* gates = record.gates.at(slots.next, 3 * b * N + j);
      gates[0] = cell.i;
      gates[N] = cell.f;
      gates[2 * N] = cell.o;
    }
    *record.output.at(slots.next, bj) = cell.output;
  }
  step.y[step.t * p.B * N + bj] = cell.output;
}

/// In Plan::step: saves x, the rate and eta of this step's trace update, which the next call does.
__device__ inline void save_pending_update(const ForwardStep& step, const ForwardElement& element, int tile) {
  const StepParams& p = step.params;
  const StepStateRecord& state = step.step_state;
  const std::int64_t b = element.b, next = element.slots.next;
  Activities x = presynaptic_now(step, element);
  for (std::int64_t i = std::int64_t{tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    *state.x.at(next, b * p.P + i) = x[i];
  }
  const OwnColumn own(p, tile);
  // Without a plastic part there is no rate. A modulator's rate is stored by launch_finish_step().
  const bool rate_is_known = p.alpha != nullptr && p.modulator_weight == nullptr;
  if (rate_is_known && own.exists && threadIdx.x < tile_columns)
    *state.rate.at(next, b * p.N + own.j) = rate_of(p, 0, 0, b, own.j);
  if (threadIdx.x == 0) {
    if (tile == 0 && p.eta != nullptr) *state.eta.at(next, b) = *p.eta;
    state.phase[b * p.tiles + tile] = static_cast<int>(next) + StepStateRecord::pending;
  }
}

/// The input current of the column that the thread finishes, in an LSTM that of gate i; 0 if it finishes
/// none. Called before the pass, so that the load is over when the sums are.
__device__ inline float own_current(const ForwardStep& step, const BlockTile& block) {
  const OwnColumn own(step.params, block.tile);
  if (warp_id() >= block.elements || !own.exists || step.current == nullptr) return 0;
  const std::int64_t width = step.params.lstm ? 4 : 1;
  return step.current[(block.first + warp_id()) * width * step.params.N + own.j];
}

/// From the sums over rows to the output of the block's columns: one warp per batch element. `current`: of
/// own_current().
__device__ inline void finish_columns(const ForwardStep& step, const ForwardElement& element, int tile,
                                      float current, const float (&sums)[4]) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  if (!own.exists) return;
  const std::int64_t N = p.N, b = element.b, bj = b * N + own.j;
  float totals[4] = {current + sums[0]};
  if (p.lstm) {
#pragma unroll
    for (int gate = 1; gate < 4; ++gate)
      totals[gate] = (step.current == nullptr ? 0 : step.current[(4 * b + gate) * N + own.j]) + sums[gate];
  }
  const float c_before = p.lstm && !element.zeroed ? *step.record.c.at(element.slots.now, bj) : 0;
  store_cell(step, element.slots, step_cell(p, totals, c_before, step.t * p.B * N + bj), b, own.j);
}

/// Zeros for a batch element whose sequence has ended.
__device__ inline void write_zeros(const ForwardStep& step, std::int64_t b, int tile) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  const std::int64_t row = (step.t * p.B + b) * p.N;
  if (own.exists) step.y[row + own.j] = 0;
  if (own.exists && step.a != nullptr) step.a[row + own.j] = 0;
  if (tile == 0 && lane_id() == 0 && step.modulation != nullptr) step.modulation[step.t * p.B + b] = 0;
}

/// From the sums of the read, in `parts`, to the outputs of the block's columns. All threads call it after a
/// barrier. `current`: of own_current().
template <int V>
__device__ __forceinline__ void finish_block(const ForwardStep& step, const BlockTile& block,
                                             const ThreadTile<V>& at, float current,
                                             TileSums (&parts)[max_elements]) {
  const StepParams& p = step.params;
  const bool finishes = warp_id() < block.elements;
  float sums[4] = {};  // in the order i f g o; without an LSTM at 0
  if (finishes) sums[0] = sums[2] = sum_of_classes(parts[warp_id()], lane_id());
  for (int gate = 0; gate < 3 && p.lstm; ++gate) {
    __syncthreads();  // the sums before have been read
    sum_matrix(step, block, at, p.w_gates + gate * p.N, 3 * p.N, parts);
    __syncthreads();
    if (!finishes) continue;
    const float sum = sum_of_classes(parts[warp_id()], lane_id());
    if (gate == 0) sums[0] = sum;
    if (gate == 1) sums[1] = sum;
    if (gate == 2) sums[3] = sum;
  }
  if (finishes) {
    const ForwardElement element(step, block.first + warp_id(), block.tile);
    if (element.ended) {
      write_zeros(step, element.b, block.tile);
    } else {
      finish_columns(step, element, block.tile, current, sums);
    }
  }
  if (step.step_state.phase == nullptr) return;
  const ForwardElement element(step, block.first, block.tile);  // in Plan::step a block has one
  __syncthreads();                                              // every thread has read the phase
  save_pending_update(step, element, block.tile);
}

template <Form form, Eligibility kind, int V>
__global__ void __launch_bounds__(block_threads, forward_blocks)
    forward_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(TileSums, parts, [max_elements]);
  PLASTICITY_SHARED(float, modulation, [max_elements]);
  RowPart* shared = nullptr;
  if constexpr (V > 1) {
    PLASTICITY_DYNAMIC_SHARED(RowPart, rows);
    shared = rows;
  }
  const BlockTile block(step.params, step.elements, step.t);
  const ThreadTile<V> at(step.params, block.tile);
  const float current = own_current(step, block);
  sum_rows<form, kind>(step, block, at, shared, BlockModulation(step, modulation), parts);
  __syncthreads();
  finish_block(step, block, at, current, parts);
}

/// Dynamic shared memory of a launch: the copies of a pass for one or for two elements.
constexpr std::size_t forward_shared(Eligibility kind, bool wide) {
  const auto bytes = [&](int elements) {
    return ahead_bytes(forward_streams(kind, elements), rows_ahead_forward(kind, elements));
  };
  if (!wide) return 0;
  return kind == Eligibility::none ? std::max(bytes(1), bytes(2)) : bytes(1);
}

}  // namespace plasticity::cuda
