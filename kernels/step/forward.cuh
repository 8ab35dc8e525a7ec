// One step of the whole batch:
//   H ← rule(H, g, x(t−1) y(t−1)) and E likewise     the update of the step before: it had to wait for all y
//   s_j = Σ_i x_i (w_ij + α_ij φ(H_ij))              the plastic read of this step
//   y_j = f(u_j + s_j), the clamp, the LSTM cell     for the block's columns
// Grid: one block of 256 threads for each tile of 32 post columns of each batch element; it walks down all P
// rows. On chip: the sums, and each thread's share of the trace from its load to its store. Bytes: the trace
// once read and once written, 8 B P N, and 2 B P N more for a checkpoint in bfloat16 (it is the tape that is
// rounded, not the trace that the steps work on); W and α from L2, 8 B P N, and in an LSTM the gate weights,
// 12 B N N.
#pragma once

#include "rules/rules.hpp"
#include "step/cell.cuh"
#include "step/launch.hpp"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// The update that the step before left to do, for one thread's columns.
template <int V>
struct PendingUpdate {
  bool due;      // false: there is none
  bool zeroes;   // the state is reset instead
  Activities x;  // [P]
  float y[V], rate[V], eta;
};

/// Where this step's slots are, and whether an update waits.
struct Clock {
  std::int64_t now, next;
  bool pending;

  __device__ explicit Clock(const ForwardStep& step) {
    if (step.live.phase == nullptr) {
      now = slot_of(step.record, step.t);
      next = slot_of(step.record, step.t + 1);
      pending = step.t > 0;
    } else {
      const int phase = step.live.phase[blockIdx.x];
      now = phase % StepStateRecord::pending;
      next = (now + 1) % 3;
      pending = phase >= StepStateRecord::pending;
    }
  }
};

/// Walks down the rows: updates the trace, stores it, and adds up the plastic read of the thread's columns.
template <Rule rule, Eligibility kind, int V>
__device__ void update_and_read(const ForwardStep& step, const Place<V>& at, const Activities& x,
                                const PendingUpdate<V>& update, float (&s)[V]) {
  constexpr int R = forward_rows<V>;
  const Problem& p = step.problem;
  const std::int64_t N = p.N, first = at.b * p.P * N + at.column;
  const Record& record = step.record;
  const std::int64_t slot_in = step.t == 0 ? 0 : step.t - 1;
  const float* hebb_in = hebb_before(record, slot_in, first);
  float* hebb_out = hebb_before(record, step.t, first);
  [[maybe_unused]] const float* eligibility_in = nullptr;
  [[maybe_unused]] float* eligibility_out = nullptr;
  if constexpr (kind != Eligibility::none) {
    eligibility_in = eligibility_before(record, slot_in, first);
    eligibility_out = eligibility_before(record, step.t, first);
  }
  const bool changes = update.due || update.zeroes;
  const bool rounds = record.hebb16 != nullptr && step.t % record.interval == 0;
  const std::int64_t first16 = step.t / record.interval * p.B * p.P * N + first;
  float shared_alpha[V];
  for (int k = 0; k < V; ++k)
    shared_alpha[k] = p.alpha_row == 0 ? p.alpha[(at.column + k) * p.alpha_column] : 0;

  for (std::int64_t i0 = at.group; i0 < p.P; i0 += R * Place<V>::groups) {
    float h[R][V], e[R][V], w[R][V], alpha[R][V], x_before[R] = {}, x_now[R];
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const std::int64_t i = i0 + r * Place<V>::groups;
      if (i >= p.P) continue;
      if (!update.zeroes) load_columns(hebb_in + i * N, h[r]);
      if constexpr (kind != Eligibility::none) {
        if (!update.zeroes && (update.due || rounds)) load_columns(eligibility_in + i * N, e[r]);
      }
      load_weights(p.w + i * N + at.column, w[r]);
      if (p.alpha_row != 0) load_weights(p.alpha + i * p.alpha_row + at.column, alpha[r]);
      x_now[r] = x[i];
      if (update.due) x_before[r] = update.x[i];
    }
#pragma unroll
    for (int r = 0; r < R; ++r) {
      const std::int64_t i = i0 + r * Place<V>::groups;
      if (i >= p.P) continue;
#pragma unroll
      for (int k = 0; k < V; ++k) {
        if (update.zeroes) h[r][k] = e[r][k] = 0;
        if (update.due) {
          update_traces<rule, kind>(h[r][k], e[r][k], drive_of(x_before[r], update.y[k]), update.rate[k],
                                    update.y[k], update.eta, p.clip);
        }
        const float factor = p.alpha_row != 0 ? alpha[r][k] : shared_alpha[k];
        s[k] += x_now[r] * (w[r][k] + factor * TraceRule<rule>::read(h[r][k], p.clip));
      }
      if (changes) {
        store_columns(hebb_out + i * N, h[r]);
        if constexpr (kind != Eligibility::none) store_columns(eligibility_out + i * N, e[r]);
      }
      if (rounds) {
#pragma unroll
        for (int k = 0; k < V; ++k) h[r][k] = rounded<rule>(h[r][k], p.clip);
        store_columns(static_cast<__nv_bfloat16*>(record.hebb16) + first16 + i * N, h[r]);
        if constexpr (kind != Eligibility::none) {
          store_columns(static_cast<__nv_bfloat16*>(record.eligibility16) + first16 + i * N, e[r]);
        }
      }
    }
  }
}

// The gate product of an LSTM stays in the step's launch for all sizes. By the bytes: each batch element
// reads the gate weights, 12 N N from L2, where a GEMM a step would read them once for the batch; that is 14
// MB, some 3 us, at N = 200 and B = 30, the cost of a launch, and 200 MB, some 36 us beside 45 us of trace,
// at 1024 and 16, where a GEMM would win. It is not taken there either: cuBLAS's bits depend on the number of
// rows, and a sample would no longer give in a batch what it gives alone. (Calculated from H100 figures, not
// measured.)

/// h(t−1) W_gates for the thread's columns of one gate.
template <int V>
__device__ void gate_product(const Problem& p, const Place<V>& at, const Activities& x, int gate,
                             float (&sum)[V]) {
  const float* row = p.w_gates + gate * p.N + at.column;
#pragma unroll 2
  for (std::int64_t i = at.group; i < p.N; i += Place<V>::groups) {
    float w[V];
    load_weights(row + i * 3 * p.N, w);
    const float x_now = x[i];
#pragma unroll
    for (int k = 0; k < V; ++k) sum[k] += x_now * w[k];
  }
}

/// From the finished current of column j to what the network shows. One thread a column.
__device__ inline void run_cell(const ForwardStep& step, const Clock& clock, std::int64_t b, std::int64_t j,
                                bool zeroed, const float (&sums)[4]) {
  const Problem& p = step.problem;
  const Record& record = step.record;
  const std::int64_t N = p.N, bj = b * N + j, tbj = step.t * p.B * N + bj;
  const float* current = step.current == nullptr ? nullptr : step.current + b * (p.lstm ? 4 : 1) * N + j;
  float totals[4] = {};
#pragma unroll
  for (int gate = 0; gate < 4; ++gate) {
    if (gate == 0 || p.lstm) totals[gate] = (current == nullptr ? 0 : current[gate * N]) + sums[gate];
  }
  const float before = p.lstm && !zeroed ? *row_of(record.c, clock.now, bj) : 0;
  const CellStep cell = step_cell(p, totals, before, tbj);
  if (p.activation == Activation::softmax) {
    *row_of(record.raw, clock.next, bj) = cell.raw;
    return;
  }
  *row_of(record.post, clock.next, bj) = cell.post;
  if (p.lstm) {
    *row_of(record.c, clock.next, bj) = cell.c;
    if (record.gates.base != nullptr) {
      float* gates = row_of(record.gates, clock.next, 3 * b * N + j);
      gates[0] = cell.i;
      gates[N] = cell.f;
      gates[2 * N] = cell.o;
    }
    *row_of(record.shown, clock.next, bj) = cell.shown;
  }
  step.y[tbj] = cell.shown;
}

/// Remembers what the update of this live step will need.
template <int V>
__device__ void remember(const ForwardStep& step, const Clock& clock, const Place<V>& at,
                         const Activities& x) {
  const Problem& p = step.problem;
  const StepStateRecord& live = step.live;
  for (std::int64_t i = std::int64_t{at.tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    *row_of(live.x, clock.next, at.b * p.P + i) = x[i];
  }
  const std::int64_t j = std::int64_t{at.tile} * tile_columns + threadIdx.x;
  const bool known = p.modulator_weight == nullptr;  // else launch_live_finish() does it
  if (known && threadIdx.x < tile_columns && j < p.N) {
    *row_of(live.rate, clock.next, at.b * p.N + j) = rate_of(p, 0, 0, at.b, j);
  }
  if (threadIdx.x == 0) {
    if (at.tile == 0 && p.eta != nullptr) *row_of(live.eta, clock.next, at.b) = *p.eta;
    live.phase[blockIdx.x] = static_cast<int>(clock.next) + StepStateRecord::pending;
  }
}

template <Rule rule, Eligibility kind, int V>
__global__ void __launch_bounds__(block_threads, forward_blocks)
    forward_kernel(const __grid_constant__ ForwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  PLASTICITY_SHARED(ColumnParts, parts, [4]);
  const Problem& p = step.problem;
  const Record& record = step.record;
  const Place<V> at(p);
  const std::int64_t t = step.t, b = at.b, own = std::int64_t{at.tile} * tile_columns + threadIdx.x;
  const bool owns = threadIdx.x < tile_columns && own < p.N, live = step.live.phase != nullptr;
  if (t >= length_of(p, b)) {
    if (owns) step.y[(t * p.B + b) * p.N + own] = 0;
    if (at.tile == 0 && threadIdx.x == 0 && step.modulation != nullptr) step.modulation[t * p.B + b] = 0;
    return;
  }
  const Clock clock(step);
  const bool zeroed = resets(p, t, b);

  // The step before: what it shows, its modulator, its rate.
  Activities y_before{};
  float modulation = 0;
  if (!live && t > 0) {
    y_before = outputs_of(p, record, t - 1, clock.now, b, words);
    modulation = modulation_of(p, record, y_before, clock.now, b, words);
    write_completed(p, record, y_before, modulation, t - 1, clock.now, b, at.tile, step.y, step.modulation);
  }
  Activities x = inputs_of(p, record, t, b);
  if (p.cell != Cell::feedforward) {
    if (y_before.softmax) x = y_before;
    if (live) x.row = row_of(record.shown, clock.now, b * p.N);
    x.zero = zeroed;
  }
  PendingUpdate<V> update{};
  update.due = clock.pending && !zeroed;
  update.zeroes = zeroed;
  if (update.due) {
    if (live) {
      update.x.row = row_of(step.live.x, clock.now, b * p.P);
    } else {
      update.x = inputs_of(p, record, t - 1, b);
    }
    if constexpr (kind != Eligibility::none)
      update.eta = live ? *row_of(step.live.eta, clock.now, b) : *p.eta;
    if (at.inside) {
      const std::int64_t bj = b * p.N + at.column;
      if (y_before.softmax) {
        for (int k = 0; k < V; ++k) update.y[k] = y_before[at.column + k];
      } else {
        load_row(row_of(record.post, clock.now, bj), update.y);
      }
      if (live) {
        load_row(row_of(step.live.rate, clock.now, bj), update.rate);
      } else {
        load_rates(p, modulation, t - 1, b, at.column, update.rate);
      }
    }
  }

  float s[V] = {};
  if (at.inside) update_and_read<rule, kind>(step, at, x, update, s);
  put_columns(s, parts[p.lstm ? 2 : 0]);
  for (int gate = 0; gate < 3 && p.lstm; ++gate) {
    float sum[V] = {};
    if (at.inside) gate_product(p, at, x, gate, sum);
    put_columns(sum, parts[gate == 2 ? 3 : gate]);
  }
  __syncthreads();
  if (owns) {
    float sums[4] = {};
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) {
      if (gate == 0 || p.lstm) sums[gate] = column_total(parts[gate], static_cast<int>(threadIdx.x));
    }
    run_cell(step, clock, b, own, zeroed, sums);
  }
  if (live) remember(step, clock, at, x);
}

}  // namespace plasticity::cuda
