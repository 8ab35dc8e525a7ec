// The gradient of α per connection:
//   ᾱ_ij = Σ_b Σ_t x_i(t) ā_j(t) φ(H_ij(t))
// H is replayed forward in time from the initial trace and the recorded x, y and g: no connection depends on
// another connection's trace.
// Grid: one block of 256 threads per tile of 64 rows and 32 columns and per group of batch elements. A thread
// owns V columns of 8 / V rows. Another kernel adds up the groups' sums, in order. On chip: the traces and
// the sums, in registers. Bytes: the initial trace of each batch element, 4 B P N; x, y, g and ā of every
// step, from the caches: (P / 32 + N / 64 · 3) · 4 T B N.
#pragma once

#include "replay/rows.cuh"

namespace plasticity::cuda {

/// Adds the steps of one batch element to the thread's sums.
template <Form form, Eligibility kind, class Trace, int V>
__device__ __forceinline__ void replay_element(const Replay& replay, std::int64_t b, const ReplayTile<V>& at,
                                               float (&sums)[ReplayTile<V>::rows][V]) {
  constexpr int rows = ReplayTile<V>::rows;
  const StepParams& p = replay.params;
  const Record& record = replay.record;
  const std::int64_t N = p.N, length = length_of(p, b);
  const auto initial = traces_on_tape<kind, Trace>(record) + ((b * p.P + at.row) * N + at.column);
  TracePair<kind, V> traces[rows] = {};
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (r < at.existing) traces[r].load(initial + r * N);
  }
  ReplayedSteps<form, kind, V> steps(p, record, 0, b, at);
  const float* da_row = replay.da + b * replay.width + replay.da_column + at.column;
  const std::int64_t da_stride = in_register(p.B * replay.width);
#pragma unroll 1
  for (int left = static_cast<int>(length); left > 0; --left) {
    const bool zeroed = steps.resets(p);
    if (zeroed) {
#pragma unroll
      for (int r = 0; r < rows; ++r) traces[r].set_zero();
    }
    float da[V];
    steps.load(p, zeroed);
    load_tape_row(da_row, da);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
#pragma unroll
      for (int k = 0; k < V; ++k) {
        const float read = read_trace<form>(traces[r].h[k], p.clip);
        sums[r][k] = multiply_add(rounded_product(steps.x[r], da[k]), read, sums[r][k]);
        traces[r].template update<form>(k, steps.x[r], steps.factors(k), steps.constants);
      }
    }
    steps.advance(p);
    da_row += da_stride;
  }
}

template <Form form, Eligibility kind, class Trace, int V>
__global__ void __launch_bounds__(block_threads, 2) replay_kernel(const __grid_constant__ Replay replay) {
  const StepParams& p = replay.params;
  const ReplayTile<V> at(p);
  if (!at.exists) return;
  const std::int64_t elements = (p.B + replay.groups - 1) / replay.groups, last = (at.outer + 1) * elements;
  float sums[ReplayTile<V>::rows][V] = {};
  for (std::int64_t b = at.outer * elements; b < p.B && b < last; ++b) {
    replay_element<form, kind, Trace, V>(replay, b, at, sums);
  }
#pragma unroll
  for (int r = 0; r < ReplayTile<V>::rows; ++r) {
    if (r < at.existing)
      store_columns(replay.partial + (at.outer * p.P + at.row + r) * p.N + at.column, sums[r]);
  }
}

}  // namespace plasticity::cuda
