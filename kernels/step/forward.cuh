// One step of the whole batch:
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise     the update of step t − 1, which depends on all of y(t−1)
//   s_j = Σ_i x_i (w_ij + α_ij φ(H_ij))              the plastic read of step t
//   y_j = f(u_j + s_j), the clamp, the LSTM cell     for the block's columns
// Grid: one block of 256 threads per tile of 32 postsynaptic columns of each batch element. A block reads all
// P rows. On chip: the sums, and each thread's traces from load to store. Bytes: the trace read once and
// written once, 8 B P N, and 2 B P N more for a bfloat16 checkpoint (only the tape is rounded, not the trace
// of the steps). From L2: W and α, 8 B P N, and in an LSTM the gate weights, 12 B N N.
#pragma once

#include "step/cell.cuh"
#include "step/launch.hpp"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// The slots of a step, and whether the trace update of the step before is pending. `single`: a step of
/// Plan::step.
struct StepSlots {
  std::int64_t now, next;
  bool pending, single;

  __device__ explicit StepSlots(const ForwardStep& step) : single(step.step_state.phase != nullptr) {
    if (!single) {
      now = slot_before(step.record, step.t);
      next = slot_before(step.record, step.t + 1);
      pending = step.t > 0;
    } else {
      const int phase = step.step_state.phase[blockIdx.x];
      now = phase % StepStateRecord::pending;
      next = (now + 1) % 3;
      pending = phase >= StepStateRecord::pending;
    }
  }
};

/// Zeros for a batch element whose sequence has ended.
__device__ inline void write_zeros(const ForwardStep& step, std::int64_t b, int tile) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  if (own.exists) step.y[(step.t * p.B + b) * p.N + own.j] = 0;
  if (tile == 0 && threadIdx.x == 0 && step.modulation != nullptr) step.modulation[step.t * p.B + b] = 0;
}

/// The output and M of step t − 1.
struct PreviousStep {
  Activities y{};
  float modulation = 0;
};

/// Completes step t − 1 of a sequence. In Plan::step, launch_finish_step() has completed it.
__device__ inline PreviousStep complete_previous(const ForwardStep& step, const StepSlots& slots,
                                                 std::int64_t b, int tile, float (&words)[block_warps]) {
  const StepParams& p = step.params;
  PreviousStep previous;
  if (!slots.single && step.t > 0) {
    previous.y = output_of_step(p, step.record, step.t - 1, slots.now, b, words);
    previous.modulation = modulation_of(p, step.record, previous.y, slots.now, b, words);
    store_completed(p, step.record, previous.y, previous.modulation, step.t - 1, slots.now, b, tile, step.y,
                    step.modulation);
  }
  return previous;
}

/// x of step t.
__device__ inline Activities presynaptic_now(const ForwardStep& step, const StepSlots& slots,
                                             const Activities& y_before, std::int64_t b, bool zeroed) {
  const StepParams& p = step.params;
  Activities x = presynaptic_of(p, step.record, step.t, b);
  if (p.cell != Cell::feedforward) {
    if (y_before.softmax) x = y_before;
    if (slots.single) x.row = step.record.output.at(slots.now, b * p.N);
    x.zero = zeroed;
  }
  return x;
}

/// The trace update of step t − 1, for one thread's columns.
template <int V>
struct PendingUpdate {
  bool due;      // false: there is no update
  bool zeroes;   // a reset sets the traces to zero instead
  Activities x;  // [P]
  float y[V], rate[V], eta;
};

template <Eligibility kind, int V>
__device__ PendingUpdate<V> load_pending_update(const ForwardStep& step, const StepSlots& slots,
                                                const ThreadTile<V>& at, const PreviousStep& previous,
                                                bool zeroed) {
  const StepParams& p = step.params;
  const StepStateRecord& state = step.step_state;
  PendingUpdate<V> update{};
  update.due = slots.pending && !zeroed;
  update.zeroes = zeroed;
  if (update.due) {
    if (slots.single) {
      update.x.row = state.x.at(slots.now, at.b * p.P);
    } else {
      update.x = presynaptic_of(p, step.record, step.t - 1, at.b);
    }
    if constexpr (kind != Eligibility::none)
      update.eta = slots.single ? *state.eta.at(slots.now, at.b) : *p.eta;
    if (!at.inside) return update;
    const std::int64_t bj = at.b * p.N + at.column;
    if (previous.y.softmax) {
      for (int k = 0; k < V; ++k) update.y[k] = previous.y[at.column + k];
    } else {
      load_row(step.record.post.at(slots.now, bj), update.y);
    }
    if (slots.single) {
      load_row(state.rate.at(slots.now, bj), update.rate);
    } else {
      load_rates(p, previous.modulation, step.t - 1, at.b, at.column, update.rate);
    }
  }
  return update;
}

/// Updates and stores the traces of the thread's rows, and adds the plastic read of its columns to `s`.
template <Rule rule, Eligibility kind, int V>
__device__ void update_and_read(const ForwardStep& step, const ThreadTile<V>& at, const Activities& x,
                                const PendingUpdate<V>& update, float (&s)[V]) {
  constexpr int R = forward_rows<V>;
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t N = p.N, first = at.b * p.P * N + at.column;
  const auto in = traces_before<kind>(record, step.t == 0 ? 0 : step.t - 1, first);
  const auto out = traces_before<kind>(record, step.t, first);
  const bool changes = update.due || update.zeroes;
  const bool rounds = record.hebb16 != nullptr && step.t % record.interval == 0;
  const std::int64_t first16 = step.t / record.interval * p.B * p.P * N + first;
  float shared_alpha[V];
  for (int k = 0; k < V; ++k)
    shared_alpha[k] = p.alpha_row == 0 ? p.alpha[(at.column + k) * p.alpha_column] : 0;

  for (std::int64_t i0 = at.group; i0 < p.P; i0 += R * ThreadTile<V>::groups) {
    TracePair<kind, V> traces[R];
    float w[R][V], alpha[R][V], x_before[R] = {}, x_now[R];
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const std::int64_t i = i0 + r * ThreadTile<V>::groups, row = i * N;
      if (i >= p.P) continue;
      if (!update.zeroes) traces[r].load_hebb(in + row);
      if (!update.zeroes && (update.due || rounds)) traces[r].load_eligibility(in + row);
      load_weights(p.w + row + at.column, w[r]);
      if (p.alpha_row != 0) load_weights(p.alpha + i * p.alpha_row + at.column, alpha[r]);
      x_now[r] = x[i];
      if (update.due) x_before[r] = update.x[i];
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const std::int64_t i = i0 + r * ThreadTile<V>::groups, row = i * N;
      if (i >= p.P) continue;
      if (update.zeroes) traces[r].set_zero();
#pragma unroll
      for (int k = 0; k < V; ++k) {
        if (update.due)
          traces[r].template update<rule>(k, x_before[r], update.y[k], update.rate[k], update.eta, p.clip);
        const float factor = p.alpha_row != 0 ? alpha[r][k] : shared_alpha[k];
        s[k] += x_now[r] * (w[r][k] + factor * TraceRule<rule>::read(traces[r].h[k], p.clip));
      }
      if (changes) traces[r].store(out + row);
      if (rounds)
        traces[r].template store_rounded<rule>(rounded_checkpoints<kind>(record) + first16 + row, p.clip);
    }
  }
}

// The gate product of an LSTM is part of the step's launch for all sizes. Each batch element reads the gate
// weights, 12 N N bytes, from L2; a GEMM per step would read them once per batch. At N = 200, B = 30 that is
// 14 MB, about 3 us, the cost of a launch. At N = 1024, B = 16 it is 200 MB, about 36 us beside 45 us of
// trace, and a GEMM would be faster. It is not used there either: cuBLAS's bits depend on the number of rows,
// so a sample would have other bits alone than in a batch. (Calculated from H100 figures, not measured.)

/// h(t−1) W_gates for the thread's columns of one gate.
template <int V>
__device__ void gate_product(const StepParams& p, const ThreadTile<V>& at, const Activities& x, int gate,
                             float (&sum)[V]) {
  const float* row = p.w_gates + gate * p.N + at.column;
#pragma unroll 2
  for (std::int64_t i = at.group; i < p.N; i += ThreadTile<V>::groups) {
    float w[V];
    load_weights(row + i * 3 * p.N, w);
    const float x_now = x[i];
#pragma unroll
    for (int k = 0; k < V; ++k) sum[k] += x_now * w[k];
  }
}

/// The sums over rows: the plastic read, and in an LSTM the gate products. `parts`: in an LSTM in the order i
/// f g o.
template <Rule rule, Eligibility kind, int V>
__device__ __forceinline__ void sum_rows(const ForwardStep& step, const ThreadTile<V>& at,
                                         const Activities& x, const PendingUpdate<V>& update,
                                         ColumnSums (&parts)[4]) {
  const StepParams& p = step.params;
  float s[V] = {};
  if (at.inside) update_and_read<rule, kind>(step, at, x, update, s);
  store_column_sums(s, parts[p.lstm ? 2 : 0]);
  for (int gate = 0; gate < 3 && p.lstm; ++gate) {
    float sum[V] = {};
    if (at.inside) gate_product(p, at, x, gate, sum);
    store_column_sums(sum, parts[gate == 2 ? 3 : gate]);
  }
}

/// Stores the state of column j after the step, and y except under softmax.
__device__ inline void store_cell(const ForwardStep& step, const StepSlots& slots, const CellStep& cell,
                                  std::int64_t b, std::int64_t j) {
  const StepParams& p = step.params;
  const Record& record = step.record;
  const std::int64_t N = p.N, bj = b * N + j;
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

/// From the sums over rows to the output of the block's columns, one column per thread.
__device__ inline void finish_columns(const ForwardStep& step, const StepSlots& slots, std::int64_t b,
                                      int tile, bool zeroed, const ColumnSums (&parts)[4]) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  if (!own.exists) return;
  const std::int64_t N = p.N, bj = b * N + own.j;
  const float* current = step.current == nullptr ? nullptr : step.current + b * (p.lstm ? 4 : 1) * N + own.j;
  float totals[4] = {};
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate == 0 || p.lstm) {
      totals[gate] = (current == nullptr ? 0 : current[gate * N]) +
                     column_sum(parts[gate], static_cast<int>(threadIdx.x));
    }
  }
  const float c_before = p.lstm && !zeroed ? *step.record.c.at(slots.now, bj) : 0;
  store_cell(step, slots, step_cell(p, totals, c_before, step.t * p.B * N + bj), b, own.j);
}

/// In Plan::step: saves x, the rate and eta of this step's trace update, which the next call does.
__device__ inline void save_pending_update(const ForwardStep& step, const StepSlots& slots, std::int64_t b,
                                           int tile, const Activities& x) {
  const StepParams& p = step.params;
  const StepStateRecord& state = step.step_state;
  for (std::int64_t i = std::int64_t{tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    *state.x.at(slots.next, b * p.P + i) = x[i];
  }
  const OwnColumn own(p, tile);
  const bool rate_is_known = p.modulator_weight == nullptr;  // else launch_finish_step() stores it
  if (rate_is_known && own.exists) *state.rate.at(slots.next, b * p.N + own.j) = rate_of(p, 0, 0, b, own.j);
  if (threadIdx.x == 0) {
    if (tile == 0 && p.eta != nullptr) *state.eta.at(slots.next, b) = *p.eta;
    state.phase[blockIdx.x] = static_cast<int>(slots.next) + StepStateRecord::pending;
  }
}

template <Rule rule, Eligibility kind, int V>
__global__ void __launch_bounds__(block_threads, forward_blocks)
    forward_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  PLASTICITY_SHARED(ColumnSums, parts, [4]);
  const ThreadTile<V> at(step.params);
  if (step.t >= length_of(step.params, at.b)) return write_zeros(step, at.b, at.tile);
  const StepSlots slots(step);
  const bool zeroed = resets(step.params, step.t, at.b);
  const PreviousStep previous = complete_previous(step, slots, at.b, at.tile, words);
  const Activities x = presynaptic_now(step, slots, previous.y, at.b, zeroed);
  const PendingUpdate<V> update = load_pending_update<kind>(step, slots, at, previous, zeroed);
  sum_rows<rule, kind>(step, at, x, update, parts);
  __syncthreads();
  finish_columns(step, slots, at.b, at.tile, zeroed, parts);
  if (slots.single) save_pending_update(step, slots, at.b, at.tile, x);
}

}  // namespace plasticity::cuda
