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

#include <algorithm>

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
      now = step.places.now;
      next = step.places.next;
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
  return {presynaptic_row(step.params, step.record, step.t, element.slots.now, element.b),
          element.zeroed && step.params.cell != Cell::feedforward};
}

/// The pointers of a pass, and its constants.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ ElementPass<kind, V> prepare_pass(const ForwardStep& step, const ThreadTile<V>& at,
                                                             const ForwardElement& element) {
  const StepParams& p = step.params;
  const StepPlaces& places = step.places;
  const StepStateRecord& state = step.step_state;
  const std::int64_t b = element.b, first = (b * p.P + at.group) * p.N + at.column;
  ElementPass<kind, V> pass{};
  pass.clip = p.clip;
  pass.x = presynaptic_now(step, element).row + at.group;
  pass.out = TracePointers<kind, float>{places.hebb, places.eligibility} + first;
  pass.in = {pass.out.hebb, pass.out.eligibility};
  if (places.rounded_hebb != nullptr)
    pass.rounded =
        TracePointers<kind, __nv_bfloat16>{static_cast<__nv_bfloat16*>(places.rounded_hebb),
                                           static_cast<__nv_bfloat16*>(places.rounded_eligibility)} +
        first;
  if (!element.updates) return pass;
  pass.in = TracePointers<kind, const float>{places.hebb_in, places.eligibility_in} + first;
  pass.constants.limit = update_limit<form>(p.clip);
  if (element.slots.single) {
    pass.x_before = state.x.at(element.slots.now, b * p.P) + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *state.eta.at(element.slots.now, b);
  } else {
    pass.x_before = presynaptic_row(p, step.record, step.t - 1, places.before, b) + at.group;
    if constexpr (kind != Eligibility::none) pass.constants.eta = *p.eta;
  }
  return pass;
}

/// Loads what the factors of the pending update depend on, besides M.
template <Eligibility kind, int V>
__device__ __forceinline__ RateParts<V> load_update(const ForwardStep& step, const ThreadTile<V>& at,
                                                    const ForwardElement& element,
                                                    ElementPass<kind, V>& pass) {
  RateParts<V> parts{};
  if (!element.updates || !at.inside) return parts;
  const std::int64_t bj = element.b * step.params.N + at.column;
  load_row(step.record.post.at(element.slots.now, bj), pass.y);
  if (element.slots.single) {
    load_row(step.step_state.rate.at(element.slots.now, bj), parts.bias);
  } else {
    parts.load(step.params, step.t - 1, element.b, at.column);
  }
  return parts;
}

/// The factors of the pending update. `modulation`: M of step t − 1.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void complete_pass(const ForwardStep& step, const ThreadTile<V>& at,
                                              const ForwardElement& element, const RateParts<V>& parts,
                                              float modulation, ElementPass<kind, V>& pass) {
  if (!element.updates || !at.inside) return;
  const Rate kind_of_rate = element.slots.single ? Rate::external : step.params.rate;
  float rate[V];
#pragma unroll
  for (int k = 0; k < V; ++k) rate[k] = parts.rate(kind_of_rate, modulation, k);
  compute_factors<form, kind>(step.params, rate, pass.y, pass.kept, pass.drive);
}

/// M of step t − 1 of each of the block's elements, in shared memory. One warp per element computes it.
struct BlockModulation {
  float (&values)[max_elements];
  bool due;  // the network has a modulator, and this launch completes a step

  __device__ BlockModulation(const ForwardStep& step, float (&shared)[max_elements])
      : values(shared),
        due(step.params.modulator_weight != nullptr && step.t > 0 && step.step_state.phase == nullptr) {}

  /// All threads call it once, before at().
  __device__ __forceinline__ void compute(const ForwardStep& step, const BlockTile& block) const {
    if (!due) return;
    if (warp_id() < block.elements) {
      const std::int64_t b = block.first + warp_id();
      if (step.t < length_of(step.params, b)) {
        const float M = modulation_of(step.params, step.record, step.places.now, b);
        if (lane_id() == 0) {
          values[warp_id()] = M;
          if (block.tile == 0)
            store_modulation(step.params, step.record, M, step.t - 1, step.places.now, b, step.modulation);
        }
      }
    }
    __syncthreads();
  }
  __device__ float at(int element) const { return due ? values[element] : 0; }
};

/// The sums of one batch element, without others and without rows that are copied ahead.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_alone(const ForwardStep& step, const ThreadTile<V>& at,
                                          const ForwardElement& element, ElementPass<kind, V>& pass,
                                          ThreadSums<V>& s) {
  const StepParams& p = step.params;
  if constexpr (V == 1) {
    if (element.updates) {
      if (pass.rounded.hebb == nullptr) return update_and_read<form, kind, V, true, false>(p, at, &pass, &s);
      return update_and_read<form, kind, V, true, true>(p, at, &pass, &s);
    }
  }
  if (element.clears) clear_traces(p, at, pass);
  const bool reads = !element.zeroed || p.cell == Cell::feedforward;  // else x is zero
  if (reads) update_and_read<form, kind, V, false, true>(p, at, &pass, &s);
}

/// The sums of `elements` batch elements, from the block's element `number` on, all with an update.
/// `prepared()` is called after the first rows have been asked for.
template <Form form, Eligibility kind, int elements, bool rounds, class Prepared>
__device__ __forceinline__ void sum_ahead(const ForwardStep& step, const ThreadTile<4>& at,
                                          const ForwardElement* const (&element)[elements], int number,
                                          RowPart* shared, const BlockModulation& modulation,
                                          Prepared prepared, TileSums* tiles) {
  ElementPass<kind, 4> passes[elements];
  RateParts<4> parts[elements];
#pragma unroll
  for (int e = 0; e < elements; ++e) passes[e] = prepare_pass<form, kind>(step, at, *element[e]);
  auto ahead = copy_ahead<kind, elements>(step.params, at, shared, passes);
#pragma unroll
  for (int e = 0; e < elements; ++e) parts[e] = load_update(step, at, *element[e], passes[e]);
  prepared();
#pragma unroll
  for (int e = 0; e < elements; ++e)
    complete_pass<form, kind>(step, at, *element[e], parts[e], modulation.at(number + e), passes[e]);
  ThreadSums<4> s[elements] = {};
  update_and_read_ahead<form, kind, elements, rounds>(step.params, at, ahead, passes, s);
#pragma unroll
  for (int e = 0; e < elements; ++e) store_sums(at, s[e], tiles[number + e]);
}

/// Completes step t − 1, and sums over the rows for all elements of the block that have not ended.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void sum_rows(const ForwardStep& step, const BlockTile& block,
                                         const ThreadTile<V>& at, RowPart* shared,
                                         const BlockModulation& modulation, TileSums (&tiles)[max_elements]) {
  const auto compute_modulation = [&] { modulation.compute(step, block); };
  const bool rounds = step.places.rounded_hebb != nullptr;
  if constexpr (elements_at_once < kind, V >> 1) {
    static_assert(max_elements == 2);
    if (block.elements == 2 && !rounds) {
      const ForwardElement one(step, block.first, block.tile), other(step, block.first + 1, block.tile);
      if (one.updates && other.updates)
        return sum_ahead<form, kind, 2, false>(step, at, {&one, &other}, 0, shared, modulation,
                                               compute_modulation, tiles);
    }
  }
  bool complete = false;
  const auto prepared = [&] {
    if (!complete) compute_modulation();
    complete = true;
  };
#pragma unroll 1
  for (int e = 0; e < block.elements; ++e) {
    const ForwardElement element(step, block.first + e, block.tile);
    if (element.ended) continue;
    if constexpr (V > 1) {
      if (element.updates && rounds) {
        sum_ahead<form, kind, 1, true>(step, at, {&element}, e, shared, modulation, prepared, tiles);
        continue;
      }
      if (element.updates) {
        sum_ahead<form, kind, 1, false>(step, at, {&element}, e, shared, modulation, prepared, tiles);
        continue;
      }
    }
    ElementPass<kind, V> pass = prepare_pass<form, kind>(step, at, element);
    const RateParts<V> parts = load_update(step, at, element, pass);
    prepared();
    complete_pass<form, kind>(step, at, element, parts, modulation.at(e), pass);
    ThreadSums<V> s = {};
    sum_alone<form>(step, at, element, pass, s);
    store_sums(at, s, tiles[e]);
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
  if (tile == 0 && threadIdx.x % 32 == 0 && step.modulation != nullptr) step.modulation[step.t * p.B + b] = 0;
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

/// Dynamic shared memory of a launch: what a pass for one or for two elements copies ahead.
constexpr std::size_t forward_shared(Eligibility kind, bool wide) {
  const auto bytes = [&](int elements) {
    return ahead_bytes(forward_streams(kind, elements), rows_ahead_forward(kind, elements));
  };
  if (!wide) return 0;
  return kind == Eligibility::none ? std::max(bytes(1), bytes(2)) : bytes(1);
}

}  // namespace plasticity::cuda
