// One launch of backward, at step t of the whole batch, from T down to 0:
//   ā of step t from what the launches before left (adjoint.cuh)
//   G += α x ā;  x̄_i += Σ_j (W + α φ(H)) ā_j;  ᾱ_j += Σ_i x_i ā_j φ(H)         the plastic read of step t
//   G ← adjoint of the trace rule;  x̄(t−1)_i += …;  ȳ(t−1)_j, ḡ(t−1)_j = Σ_i … the trace update of step t−1
// where H is worked out anew from the trace before step t−1, which is on the tape or was replayed from a
// checkpoint (a bfloat16 tape of every step is asked for it: see rounding.cuh). The launch at t = length[b]
// has only the second part, with the upstream gradient of the final trace; the one at t = 0 only the first,
// and gives G out. Grid: one block of 256 threads for each tile of 32 post columns of each batch element, as
// in forward. On chip: the sums over rows. Sums over columns are added up in a tile and left in memory, one
// number a row and tile; the launch after adds the tiles in order. No two threads write the same place: the
// same bits every time. Bytes: G read and written, 8 B P N; the trace read, 4 B P N (once in float, twice in
// bfloat16); with eligibility as much again; W and α from L2, 8 B P N, and the gate weights of an LSTM, 12 B
// N N.
#pragma once

#include "rules/rules.hpp"
#include "step/adjoint.cuh"
#include "step/launch.hpp"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// What a thread needs for its columns, and what it adds up for them.
template <int V>
struct BackwardColumns {
  bool reads, updates, cut;  // the two parts of a launch, and whether a reset stands between them
  Activities x, x_before;
  float da[V], y[V], rate[V], eta;
  float dpost[V] = {}, drate[V] = {}, deta[V] = {}, dalpha[V] = {};
};

/// Where the trace's gradient is read and written.
struct GradientPlaces {
  const float *in, *in_eligibility;  // null: zero
  float *out, *out_eligibility;      // null: not wanted
};

/// `sum` of the threads that share a row, for all of them.
template <int V>
__device__ __forceinline__ float row_sum(float sum) {
#pragma unroll
  for (int distance = 1; distance < Place<V>::lanes; distance *= 2) {
    sum += __shfl_xor_sync(0xffffffffu, sum, distance);
  }
  return sum;
}

/// Σ_j of the gate weights of row i and ā of the gates, over the thread's columns.
template <int V>
__device__ __forceinline__ float gate_row(const Problem& p, std::int64_t i, std::int64_t column,
                                          const float (&gates)[4][tile_columns]) {
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

/// The trace before step t, from the one before step t−1.
template <Rule rule, Eligibility kind, int V>
__device__ __forceinline__ float trace_now(const Problem& p, const BackwardColumns<V>& c, int k, float h,
                                           float e, float x_before) {
  if (c.cut) return 0;
  if (c.updates)
    update_traces<rule, kind>(h, e, drive_of(x_before, c.y[k]), c.rate[k], c.y[k], c.eta, p.clip);
  return h;
}

template <Rule rule, Eligibility kind, class Trace, int V>
__device__ void reverse_rows(const BackwardStep& step, const Place<V>& at, const GradientPlaces& places,
                             const float (&gates)[4][tile_columns], BackwardColumns<V>& c) {
  constexpr bool eligible = kind != Eligibility::none;
  const Problem& p = step.problem;
  const std::int64_t N = p.N, slot = (c.updates && step.t > 0 ? step.t - 1 : 0) - step.record.first;
  const std::int64_t first = at.b * p.P * N + at.column;
  const Trace* hebb = recorded_hebb<Trace>(step.record) + slot * p.B * p.P * N + first;
  [[maybe_unused]] const Trace* eligibility = nullptr;
  if constexpr (eligible)
    eligibility = recorded_eligibility<Trace>(step.record) + slot * p.B * p.P * N + first;
  constexpr bool rounded16 = sizeof(Trace) < sizeof(float);
  [[maybe_unused]] const Trace* hebb_now = recorded_hebb<Trace>(step.record) + step.t * p.B * p.P * N + first;
  const float read_clip = rounded16 ? rounded_clip(p.clip).bound : p.clip;
  const std::int64_t tile_row = (at.b * p.tiles + at.tile) * p.P;
  float shared_alpha[V];
  for (int k = 0; k < V; ++k) {
    shared_alpha[k] = at.inside && p.alpha_row == 0 ? p.alpha[(at.column + k) * p.alpha_column] : 0;
  }

  // All threads of a warp go the same number of times round: they add up rows together.
  for (std::int64_t i0 = 0; i0 < p.P; i0 += Place<V>::groups) {
    const std::int64_t i = i0 + at.group;
    const bool inside = at.inside && i < p.P;
    float into_x = 0, into_x_before = 0;
    if (inside) {
      float G[V] = {}, GE[V] = {}, h[V] = {}, e[V] = {};
      [[maybe_unused]] float now16[V] = {};
      if constexpr (rounded16) {
        if (c.reads || c.updates) load_columns(hebb_now + i * N, now16);
      }
      if (places.in != nullptr) load_columns(places.in + first + i * N, G);
      if (eligible && places.in_eligibility != nullptr)
        load_columns(places.in_eligibility + first + i * N, GE);
      if (c.reads || c.updates) load_columns(hebb + i * N, h);
      if constexpr (eligible) {
        if (c.updates) load_columns(eligibility + i * N, e);
      }
      const float x_before = c.updates ? c.x_before[i] : 0;
      if (c.reads) {
        float w[V], alpha[V];
#pragma unroll
        for (int k = 0; k < V; ++k) alpha[k] = shared_alpha[k];
        load_weights(p.w + i * N + at.column, w);
        if (p.alpha_row != 0) load_weights(p.alpha + i * p.alpha_row + at.column, alpha);
        const float x = c.x[i];
#pragma unroll
        for (int k = 0; k < V; ++k) {
          float now;
          if constexpr (rounded16) {
            now = now16[k];
          } else {
            now = trace_now<rule, kind, V>(p, c, k, h[k], e[k], x_before);
          }
          const float read = TraceRule<rule>::read(now, p.clip), product = x * c.da[k];
          G[k] += TraceRule<rule>::through_read(now, read_clip, alpha[k] * product);  // adjoint
          c.dalpha[k] += product * read;                                              // adjoint
          into_x += (w[k] + alpha[k] * read) * c.da[k];                               // adjoint
        }
        if (p.lstm) into_x += gate_row<V>(p, i, at.column, gates);  // adjoint
      }
#pragma unroll
      for (int k = 0; k < V; ++k) {
        if (c.cut) G[k] = GE[k] = 0;
        if (!c.updates) continue;
        float clip = p.clip;
        if constexpr (rounded16) clip = clip_of_update<rule>(now16[k], clip);
        const TraceAdjoint<float> adjoint = reverse_traces<rule, kind>(
            G[k], GE[k], h[k], e[k], drive_of(x_before, c.y[k]), c.rate[k], c.y[k], c.eta, clip);
        into_x_before += adjoint.product * c.y[k];             // adjoint
        c.dpost[k] += adjoint.product * x_before + adjoint.y;  // adjoint
        c.drate[k] += adjoint.rate;                            // adjoint
        c.deta[k] += adjoint.eta;                              // adjoint
      }
      if (places.out != nullptr) store_columns(places.out + first + i * N, G);
      if (eligible && places.out_eligibility != nullptr)
        store_columns(places.out_eligibility + first + i * N, GE);
    }
    const bool writes = i < p.P && threadIdx.x % Place<V>::lanes == 0;
    if (c.reads) {
      into_x = row_sum<V>(into_x);
      if (writes) *row_of(step.rows, step.t % 3, tile_row + i) += into_x;
    }
    if (c.updates) {
      into_x_before = row_sum<V>(into_x_before);
      if (writes) *row_of(step.rows, (step.t + 2) % 3, tile_row + i) = into_x_before;
    }
  }
}

template <Rule rule, Eligibility kind, class Trace, int V>
__global__ void __launch_bounds__(block_threads, backward_blocks<Trace, V>)
    backward_kernel(const __grid_constant__ BackwardStep step) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  PLASTICITY_SHARED(float,
                    da, [4][tile_columns]);  // ā of the tile: the plastic gate's at 0, in an LSTM i f g o
  PLASTICITY_SHARED(ColumnParts, parts, [4]);
  const Problem& p = step.problem;
  const Place<V> at(p);
  const std::int64_t t = step.t, b = at.b, length = length_of(p, b), width = p.lstm ? 4 : 1;
  const std::int64_t own = std::int64_t{at.tile} * tile_columns + threadIdx.x, b_own = b * p.N + own;
  const bool owns = threadIdx.x < tile_columns && own < p.N;
  float* da_row = step.da + (t * p.B + b) * width * p.N + own;

  BackwardColumns<V> c{};
  c.reads = t < length;
  c.updates = t > 0 && t <= length;
  c.cut = c.reads && resets(p, t, b);
  if (c.reads) {
    const Moment moment = begin_moment(step, b, length, words);
    if (owns) {
      float mine[4] = {};
      add_rate_gradients(step, moment, own);
      column_gradients(step, moment, own, mine);
#pragma unroll
      for (int gate = 0; gate < 4; ++gate) {
        if (gate < width) da[gate][threadIdx.x] = da_row[gate * p.N] = mine[gate];
      }
    }
    __syncthreads();
    c.x = inputs_of(p, step.record, t, b);
    for (int k = 0; k < V && at.inside; ++k) c.da[k] = da[p.lstm ? 2 : 0][at.column % tile_columns + k];
  } else if (t < p.T && owns) {
    for (int gate = 0; gate < width; ++gate) da_row[gate * p.N] = 0;
    if (step.drate != nullptr) step.drate[t * p.B * p.N + b_own] = 0;
  }
  // The gradient of x of step t+1 is whole only now.
  if (step.dpre != nullptr && t + 1 < p.T) {
    for (std::int64_t i = std::int64_t{at.tile} * block_threads + threadIdx.x; i < p.P;
         i += std::int64_t{p.tiles} * block_threads) {
      step.dpre[((t + 1) * p.B + b) * p.P + i] = t + 1 < length ? row_total(step, t + 1, b, i) : 0;
    }
  }
  if (t > length) return;

  if (c.updates) {
    c.x_before = inputs_of(p, step.record, t - 1, b);
    if constexpr (kind != Eligibility::none) c.eta = *p.eta;
    const float M = p.modulator_weight == nullptr ? 0 : *row_of(step.record.modulation, t, b);
    if (at.inside) {
      load_row(row_of(step.record.post, t, b * p.N + at.column), c.y);
      load_rates(p, M, t - 1, b, at.column, c.rate);
    }
  }
  const bool starts = t == length, ends = t == 0;
  reverse_rows<rule, kind, Trace>(step, at,
                                  {.in = starts ? step.dfinal_hebb : step.G,
                                   .in_eligibility = starts ? step.dfinal_eligibility : step.GE,
                                   .out = ends ? step.dinitial_hebb : step.G,
                                   .out_eligibility = ends ? step.dinitial_eligibility : step.GE},
                                  da, c);
  put_columns(c.dpost, parts[0]);
  put_columns(c.drate, parts[1]);
  put_columns(c.deta, parts[2]);
  put_columns(c.dalpha, parts[3]);
  __syncthreads();
  if (!owns) return;
  const int column = static_cast<int>(threadIdx.x);
  if (c.updates) {
    *row_of(step.dpost, (t + 1) % 2, b_own) = column_total(parts[0], column);
    *row_of(step.rates, (t + 1) % 2, b_own) = column_total(parts[1], column);
    if (kind != Eligibility::none) step.sum_eta[b_own] += column_total(parts[2], column);
  }
  if (c.reads) step.sum_alpha[b_own] += column_total(parts[3], column);
}

}  // namespace plasticity::cuda
