// One launch of backward, at step t of the whole batch, from T down to 0:
//   ā of step t (adjoint.cuh)
//   G += α x ā;  x̄_i += Σ_j (W + α φ(H)) ā_j;  ᾱ_j += Σ_i x_i ā_j φ(H)         the plastic read of step t
//   G ← adjoint of the trace rule;  x̄(t−1)_i += …;  ȳ(t−1)_j, ḡ(t−1)_j = Σ_i … the trace update of step t−1
// H before step t is recomputed from the trace before step t−1, which is on the tape or in a replayed
// segment. A bfloat16 tape of every step stores H itself (rounding.cuh). The launch at t = length[b] has only
// the second part, with the upstream gradient of the final trace. The launch at t = 0 has only the first, and
// writes the gradient of the initial trace.
// Grid: one block of 256 threads per tile of 32 postsynaptic columns of each batch element, as in forward. On
// chip: the sums over rows. Sums over columns are stored per row and tile, and the next launch adds the tiles
// in order. No two threads write one address, so the bits are the same every time. Bytes: G read and written,
// 8 B P N, and the trace read, 4 B P N (once as float, twice as bfloat16); the same again for an eligibility
// trace. From L2: W and α, 8 B P N, and in an LSTM the gate weights, 12 B N N.
#pragma once

#include "step/adjoint.cuh"
#include "step/launch.hpp"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// The inputs and the sums of a thread's columns.
template <int V>
struct BackwardColumns {
  bool reads, updates;  // the two parts of a launch
  bool cut;             // a reset between them
  Activities x, x_before;
  float da[V], y[V], rate[V], eta;
  float dpost[V] = {}, drate[V] = {}, deta[V] = {}, dalpha[V] = {};
};

/// ā of the tile in shared memory: of the plastic gate at 0; in an LSTM of all gates, in the order i f g o.
using TileGradients = float[4][tile_columns];

/// The sum over the threads that share a row, returned to all of them.
template <int V>
__device__ __forceinline__ float row_sum(float sum) {
#pragma unroll
  for (int distance = 1; distance < ThreadTile<V>::lanes; distance *= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  }
  return sum;
}

/// Σ_j of row i's gate weights and ā of the gates, over the thread's columns.
template <int V>
__device__ __forceinline__ float gate_row(const StepParams& p, std::int64_t i, std::int64_t column,
                                          const TileGradients& gates) {
  float sum = 0;
#pragma unroll
  for (int gate = 0; gate < 3; ++gate) {
    float w[V];
    load_weights(p.w_gates + (3 * i + gate) * p.N + column, w);
#pragma unroll
    for (int k = 0; k < V; ++k) sum += w[k] * gates[gate == 2 ? 3 : gate][column % tile_columns + k];
  }
  return sum;
}

/// H_k before step t, from the traces before step t−1.
template <Rule rule, Eligibility kind, int V>
__device__ __forceinline__ float trace_now(const StepParams& p, const BackwardColumns<V>& c, int k,
                                           TracePair<kind, V> traces, float x_before) {
  if (c.cut) return 0;
  if (c.updates) traces.template update<rule>(k, x_before, c.y[k], c.rate[k], c.eta, p.clip);
  return traces.h[k];
}

/// The part of one row of the plastic read. `now`: H before step t. Adds to the gradient of the traces, and
/// returns the thread's part of x̄_i.
template <Rule rule, Eligibility kind, int V>
__device__ __forceinline__ float reverse_read(const StepParams& p, const ThreadTile<V>& at, std::int64_t i,
                                              const float (&now)[V], float read_clip,
                                              const float (&shared_alpha)[V], const TileGradients& gates,
                                              BackwardColumns<V>& c, TracePair<kind, V>& gradient) {
  float w[V], alpha[V], into_x = 0;
#pragma unroll
  for (int k = 0; k < V; ++k) alpha[k] = shared_alpha[k];
  load_weights(p.w + i * p.N + at.column, w);
  if (p.alpha_row != 0) load_weights(p.alpha + i * p.alpha_row + at.column, alpha);
  const float x = c.x[i];
#pragma unroll
  for (int k = 0; k < V; ++k) {
    const float read = TraceRule<rule>::read(now[k], p.clip), product = x * c.da[k];
    gradient.h[k] += TraceRule<rule>::through_read(now[k], read_clip, alpha[k] * product);  // adjoint
    c.dalpha[k] += product * read;                                                          // adjoint
    into_x += (w[k] + alpha[k] * read) * c.da[k];                                           // adjoint
  }
  if (p.lstm) into_x += gate_row<V>(p, i, at.column, gates);  // adjoint
  return into_x;
}

/// The part of connection k of the trace update. Replaces the gradient of the traces after it by that before
/// it, and returns the connection's part of x̄(t−1)_i.
template <Rule rule, Eligibility kind, int V>
__device__ __forceinline__ float reverse_update(int k, const TracePair<kind, V>& before, float x_before,
                                                float clip, BackwardColumns<V>& c,
                                                TracePair<kind, V>& gradient) {
  const TraceAdjoint<float> adjoint =
      reverse_traces<rule, kind>(gradient.h[k], gradient.e[k], before.h[k], before.e[k],
                                 hebbian_product(x_before, c.y[k]), c.rate[k], c.y[k], c.eta, clip);
  c.dpost[k] += adjoint.product * x_before + adjoint.y;  // adjoint
  c.drate[k] += adjoint.rate;                            // adjoint
  c.deta[k] += adjoint.eta;                              // adjoint
  return adjoint.product * c.y[k];                       // adjoint
}

/// Both parts for all rows. `in`, `out`: the gradient of the traces; null: zero, or not wanted.
template <Rule rule, Eligibility kind, class Trace, int V>
__device__ void reverse_rows(const BackwardStep& step, const ThreadTile<V>& at,
                             const TracePointers<kind, const float>& in,
                             const TracePointers<kind, float>& out, const TileGradients& gates,
                             BackwardColumns<V>& c) {
  constexpr bool rounded16 = sizeof(Trace) < sizeof(float);
  const StepParams& p = step.params;
  const std::int64_t N = p.N, slot = (c.updates && step.t > 0 ? step.t - 1 : 0) - step.record.first;
  const std::int64_t first = at.b * p.P * N + at.column;
  const auto tape = traces_on_tape<kind, Trace>(step.record) + slot * p.B * p.P * N + first;
  [[maybe_unused]] const Trace* tape_now =
      traces_on_tape<kind, Trace>(step.record).hebb + step.t * p.B * p.P * N + first;
  const float read_clip = rounded16 ? rounded_clip(p.clip).bound : p.clip;
  const std::int64_t tile_row = (at.b * p.tiles + at.tile) * p.P;
  float shared_alpha[V];
  for (int k = 0; k < V; ++k) {
    shared_alpha[k] = at.inside && p.alpha_row == 0 ? p.alpha[(at.column + k) * p.alpha_column] : 0;
  }

  // All threads of a warp do the same number of iterations: they add up rows together.
  for (std::int64_t i0 = 0; i0 < p.P; i0 += ThreadTile<V>::groups) {
    const std::int64_t i = i0 + at.group;
    const bool inside = at.inside && i < p.P;
    float into_x = 0, into_x_before = 0;
    if (inside) {
      TracePair<kind, V> gradient{}, traces{};
      float now[V] = {};
      if constexpr (rounded16) {
        if (c.reads || c.updates) load_columns(tape_now + i * N, now);
      }
      gradient.load_existing(in, first + i * N);
      if (c.reads || c.updates) traces.load_hebb(tape + i * N);
      if (c.updates) traces.load_eligibility(tape + i * N);
      const float x_before = c.updates ? c.x_before[i] : 0;
      if (c.reads) {
        if constexpr (!rounded16) {
#pragma unroll
          for (int k = 0; k < V; ++k) now[k] = trace_now<rule>(p, c, k, traces, x_before);
        }
        into_x = reverse_read<rule>(p, at, i, now, read_clip, shared_alpha, gates, c, gradient);
      }
      if (c.cut) gradient.set_zero();
      if (c.updates) {
#pragma unroll
        for (int k = 0; k < V; ++k) {
          float clip = p.clip;
          if constexpr (rounded16) {
            clip =
                clip_of_update<rule, kind>(now[k], traces.h[k], traces.e[k],
                                           hebbian_product(x_before, c.y[k]), c.rate[k], c.y[k], c.eta, clip);
          }
          into_x_before += reverse_update<rule>(k, traces, x_before, clip, c, gradient);
        }
      }
      gradient.store_existing(out, first + i * N);
    }
    const bool writes = i < p.P && threadIdx.x % ThreadTile<V>::lanes == 0;
    if (c.reads) {
      into_x = row_sum<V>(into_x);
      if (writes) *step.dx.at(step.t % 3, tile_row + i) += into_x;
    }
    if (c.updates) {
      into_x_before = row_sum<V>(into_x_before);
      if (writes) *step.dx.at((step.t + 2) % 3, tile_row + i) = into_x_before;
    }
  }
}

/// Computes ā of step t for the block's columns, into shared memory and step.da.
__device__ inline void compute_da(const BackwardStep& step, std::int64_t b, int tile, std::int64_t length,
                                  float (&words)[block_warps], TileGradients& da) {
  const StepParams& p = step.params;
  const BackwardPoint point = reduce_columns(step, b, length, words);
  const OwnColumn own(p, tile);
  if (own.exists) {
    const int width = p.lstm ? 4 : 1;
    float* da_row = step.da + (step.t * p.B + b) * width * p.N + own.j;
    float mine[4] = {};
    add_rate_gradients(step, point, own.j);
    column_gradients(step, point, own.j, mine);
#pragma unroll
    for (int gate = 0; gate < 4; ++gate) {
      if (gate < width) da[gate][threadIdx.x] = da_row[gate * p.N] = mine[gate];
    }
  }
  __syncthreads();
}

/// Zeros for a batch element whose sequence is shorter than t.
__device__ inline void write_zero_gradients(const BackwardStep& step, std::int64_t b, int tile) {
  const StepParams& p = step.params;
  const OwnColumn own(p, tile);
  if (step.t >= p.T || !own.exists) return;
  const int width = p.lstm ? 4 : 1;
  float* da_row = step.da + (step.t * p.B + b) * width * p.N + own.j;
  for (int gate = 0; gate < width; ++gate) da_row[gate * p.N] = 0;
  if (step.drate != nullptr) step.drate[(step.t * p.B + b) * p.N + own.j] = 0;
}

/// dpre of step t + 1: the gradient of its x has been complete since the previous launch.
__device__ inline void write_dpre_of_next(const BackwardStep& step, std::int64_t b, int tile,
                                          std::int64_t length) {
  const StepParams& p = step.params;
  const std::int64_t t = step.t + 1;
  if (step.dpre == nullptr || t >= p.T) return;
  for (std::int64_t i = std::int64_t{tile} * block_threads + threadIdx.x; i < p.P;
       i += std::int64_t{p.tiles} * block_threads) {
    step.dpre[(t * p.B + b) * p.P + i] = t < length ? dx_total(step, t, b, i) : 0;
  }
}

/// x, y, g and eta of the trace update of step t − 1, from the tape.
template <Eligibility kind, int V>
__device__ __forceinline__ void load_update(const BackwardStep& step, const ThreadTile<V>& at,
                                            BackwardColumns<V>& c) {
  const StepParams& p = step.params;
  const std::int64_t t = step.t;
  c.x_before = presynaptic_of(p, step.record, t - 1, at.b);
  if constexpr (kind != Eligibility::none) c.eta = *p.eta;
  const float M = recorded_modulation(p, step.record, t - 1, at.b);
  if (!at.inside) return;
  load_row(step.record.post.at(t, at.b * p.N + at.column), c.y);
  load_rates(p, M, t - 1, at.b, at.column, c.rate);
}

/// Adds up the sums over rows, and stores those that the launch of step t − 1 reads.
template <Eligibility kind, int V>
__device__ __forceinline__ void finish_column_sums(const BackwardStep& step, const ThreadTile<V>& at,
                                                   const BackwardColumns<V>& c, ColumnSums (&parts)[4]) {
  store_column_sums(c.dpost, parts[0]);
  store_column_sums(c.drate, parts[1]);
  store_column_sums(c.deta, parts[2]);
  store_column_sums(c.dalpha, parts[3]);
  __syncthreads();
  const OwnColumn own(step.params, at.tile);
  if (!own.exists) return;
  const std::int64_t bj = at.b * step.params.N + own.j;
  const int column = static_cast<int>(threadIdx.x);
  if (c.updates) {
    *step.dpost.at((step.t + 1) % 2, bj) = column_sum(parts[0], column);
    *step.dg.at((step.t + 1) % 2, bj) = column_sum(parts[1], column);
    if (kind != Eligibility::none) step.sum_eta[bj] += column_sum(parts[2], column);
  }
  if (c.reads) step.sum_alpha[bj] += column_sum(parts[3], column);
}

template <Rule rule, Eligibility kind, class Trace, int V>
__global__ void __launch_bounds__(block_threads, backward_blocks<Trace, V>)
    backward_kernel(const __grid_constant__ BackwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  PLASTICITY_SHARED(float, da, [4][tile_columns]);
  PLASTICITY_SHARED(ColumnSums, parts, [4]);
  const StepParams& p = step.params;
  const ThreadTile<V> at(p);
  const std::int64_t t = step.t, b = at.b, length = length_of(p, b);

  BackwardColumns<V> c{};
  c.reads = t < length;
  c.updates = t > 0 && t <= length;
  c.cut = c.reads && resets(p, t, b);
  if (c.reads) {
    compute_da(step, b, at.tile, length, words, da);
    c.x = presynaptic_of(p, step.record, t, b);
    for (int k = 0; k < V && at.inside; ++k) c.da[k] = da[p.lstm ? 2 : 0][at.column % tile_columns + k];
  } else {
    write_zero_gradients(step, b, at.tile);
  }
  write_dpre_of_next(step, b, at.tile, length);
  if (t > length) return;
  if (c.updates) load_update<kind>(step, at, c);

  const bool starts = t == length, ends = t == 0;
  const TracePointers<kind, const float> in{starts ? step.dfinal_hebb : step.G,
                                            starts ? step.dfinal_eligibility : step.GE};
  const TracePointers<kind, float> out{ends ? step.dinitial_hebb : step.G,
                                       ends ? step.dinitial_eligibility : step.GE};
  reverse_rows<rule, kind, Trace>(step, at, in, out, da, c);
  finish_column_sums<kind>(step, at, c, parts);
}

}  // namespace plasticity::cuda
