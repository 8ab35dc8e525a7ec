// One step of the whole batch:
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise     the update of step t − 1, which depends on all of y(t−1)
//   s_j = Σ_i x_i (w_ij + α_ij φ(H_ij))              the plastic read of step t
//   y_j = f(u_j + s_j), the clamp, the LSTM cell     for the block's columns
// Grid: one block of 256 threads per tile of 32 postsynaptic columns and per one or two batch elements. A
// block reads all P rows. On chip: the sums, and each thread's traces from load to store. Bytes: the trace
// read once and written once, 8 B P N, and 2 B P N more for a bfloat16 checkpoint (only the tape is rounded,
// not the trace of the steps). From L2: W and α, 8 P N per block of batch elements, and in an LSTM the gate
// weights, 12 N N.
#pragma once

#include "step/cell.cuh"
#include "step/forward_pass.cuh"
#include "step/launch.hpp"

namespace plasticity::cuda {

/// The slots of a step, and whether the trace update of the step before is pending. `single`: a step of
/// Plan::step.
struct StepSlots {
  std::int64_t now, next;
  bool pending, single;

  __device__ StepSlots(const ForwardStep& step, std::int64_t b, int tile)
      : single(step.step_state.phase != nullptr) {
    if (!single) {
      now = slot_before(step.record, step.t);
      next = slot_before(step.record, step.t + 1);
      pending = step.t > 0;
    } else {
      const int phase = step.step_state.phase[b * step.params.tiles + tile];
      now = phase % StepStateRecord::pending;
      next = (now + 1) % 3;
      pending = phase >= StepStateRecord::pending;
    }
  }
};

/// One batch element of a block.
struct ForwardElement {
  std::int64_t b;
  StepSlots slots;
  bool ended;    // its sequence is shorter
  bool zeroed;   // a reset precedes the step
  bool clears;   // the traces are zero: after a reset, and after the update of a step with x = 0
  bool updates;  // a trace update is due

  __device__ ForwardElement(const ForwardStep& step, std::int64_t element, int tile)
      : b(element),
        slots(step, element, tile),
        ended(step.t >= length_of(step.params, element)),
        zeroed(!ended && resets(step.params, step.t, element)) {
    const bool zero_before = !slots.single && step.t > 0 && step.params.cell != Cell::feedforward &&
                             resets(step.params, step.t - 1, b);
    clears = zeroed || zero_before;
    updates = slots.pending && !ended && !clears;
  }
};

/// x of step t.
__device__ inline Activities presynaptic_now(const ForwardStep& step, const ForwardElement& element) {
  Activities x = presynaptic_of(step.params, step.record, step.t, element.b);
  if (element.slots.single && step.params.cell != Cell::feedforward)
    x.row = step.record.output.at(element.slots.now, element.b * step.params.N);
  return x;
}

/// The pointers of a pass, and the factors of the pending update if there is one. `modulation`: M of step t
/// − 1.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ ElementPass<kind, V> prepare_pass(const ForwardStep& step, const ThreadTile<V>& at,
                                                             const ForwardElement& element,
                                                             float modulation) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const StepStateRecord& state = step.step_state;
  const std::int64_t b = element.b, first = (b * p.P + at.group) * p.N + at.column;
  ElementPass<kind, V> pass{};
  pass.clip = p.clip;
  pass.x = presynaptic_now(step, element).row + at.group;
  pass.out = traces_before<kind>(record, step.t, first);
  pass.in = {pass.out.hebb, pass.out.eligibility};
  if (record.hebb16 != nullptr && step.t % record.interval == 0)
    pass.rounded = rounded_checkpoints<kind>(record) + (step.t / record.interval * p.B * p.P * p.N + first);
  if (!element.updates) return pass;
  const std::int64_t bj = b * p.N + at.column;
  const auto before = traces_before<kind>(record, step.t == 0 ? 0 : step.t - 1, first);
  pass.in = {before.hebb, before.eligibility};
  pass.constants.limit = update_limit<form>(p.clip);
  float rate[V];
  if (element.slots.single) {
    pass.x_before = state.x.at(element.slots.now, b * p.P) + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *state.eta.at(element.slots.now, b);
  } else {
    pass.x_before = presynaptic_of(p, record, step.t - 1, b).row + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *p.eta;
  }
  if (!at.inside) return pass;
  load_row(record.post.at(element.slots.now, bj), pass.y);
  if (element.slots.single) {
    load_row(state.rate.at(element.slots.now, bj), rate);
  } else {
    load_rates(p, modulation, step.t - 1, b, at.column, rate);
  }
  compute_factors<form, kind>(p, rate, pass.y, pass.kept, pass.drive);
  return pass;
}

/// The sums of one batch element, without others.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_alone(const ForwardStep& step, const ThreadTile<V>& at,
                                          const ForwardElement& element, ElementPass<kind, V>& pass,
                                          ThreadSums<V>& s) {
  const StepParams& p = step.params;
  if (element.updates) {
    if (pass.rounded.hebb == nullptr) return update_and_read<form, kind, V, 1, true, false>(p, at, &pass, &s);
    return update_and_read<form, kind, V, 1, true, true>(p, at, &pass, &s);
  }
  if (element.clears) clear_traces(p, at, pass);
  const bool reads = !element.zeroed || p.cell == Cell::feedforward;  // else x is zero
  if (reads) update_and_read<form, kind, V, 1, false, true>(p, at, &pass, &s);
}

/// Completes step t − 1, and sums over the rows for all elements of the block that have not ended.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_rows(const ForwardStep& step, const BlockTile& block,
                                         const ThreadTile<V>& at, TileSums (&parts)[max_elements]) {
  const auto prepare = [&](const ForwardElement& element) {
    const bool completes = !element.slots.single && step.t > 0;
    const float M = completes ? modulation_of(step.params, step.record, element.slots.now, element.b) : 0;
    if (completes && block.tile == 0 && threadIdx.x == 0)
      store_modulation(step.params, step.record, M, step.t - 1, element.slots.now, element.b,
                       step.modulation);
    return prepare_pass<form, kind, V>(step, at, element, M);
  };
  if constexpr (shares_weights<kind, V>) {
    static_assert(max_elements == 2);
    const ForwardElement one(step, block.first, block.tile),
        other(step, block.first + block.elements - 1, block.tile);
    const bool rounds = step.record.hebb16 != nullptr && step.t % step.record.interval == 0;
    if (block.elements == 2 && one.updates && other.updates && !rounds) {
      ElementPass<kind, V> passes[2] = {prepare(one), prepare(other)};
      ThreadSums<V> s[2] = {};
      update_and_read<form, kind, V, 2, true, false>(step.params, at, passes, s);
      store_sums(at, s[0], parts[0]);
      return store_sums(at, s[1], parts[1]);
    }
  }
#pragma unroll 1
  for (int e = 0; e < block.elements; ++e) {
    const ForwardElement element(step, block.first + e, block.tile);
    if (element.ended) continue;
    ElementPass<kind, V> pass = prepare(element);
    ThreadSums<V> s = {};
    sum_alone<form>(step, at, element, pass, s);
    store_sums(at, s, parts[e]);
  }
}

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

/// From the sums over rows to the output of the block's columns: one warp per batch element.
__device__ inline void finish_columns(const ForwardStep& step, const ForwardElement& element, int tile,
                                      const float (&sums)[4]) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  if (!own.exists) return;
  const std::int64_t N = p.N, b = element.b, bj = b * N + own.j;
  const float* current = step.current == nullptr ? nullptr : step.current + b * (p.lstm ? 4 : 1) * N + own.j;
  float totals[4] = {};
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate == 0 || p.lstm) totals[gate] = (current == nullptr ? 0 : current[gate * N]) + sums[gate];
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
  if (tile == 0 && threadIdx.x % 32 == 0 && step.modulation != nullptr) step.modulation[step.t * p.B + b] = 0;
}

/// From the sums of the read, in `parts`, to the outputs of the block's columns. All threads call it after a
/// barrier.
template <int V>
__device__ __forceinline__ void finish_block(const ForwardStep& step, const BlockTile& block,
                                             const ThreadTile<V>& at, TileSums (&parts)[max_elements]) {
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
      finish_columns(step, element, block.tile, sums);
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
  const BlockTile block(step.params, step.elements, step.t);
  const ThreadTile<V> at(step.params, block.tile);
  sum_rows<form, kind>(step, block, at, parts);
  __syncthreads();
  finish_block(step, block, at, parts);
}

}  // namespace plasticity::cuda
