// The gradient of α per connection:
//   ᾱ_ij = Σ_b Σ_t x_i(t) ā_j(t) φ(H_ij(t))
// H is replayed forward in time from the initial trace and the recorded x, y and g: no connection depends on
// another connection's trace.
// Grid: one block of 256 threads per tile of 64 rows and 32 columns and per group of batch elements. A thread
// owns 8 rows of one column. Another kernel adds up the groups' sums, in order. On chip: the traces and the
// sums, in registers. Bytes: the initial trace of each batch element, 4 B P N; x, y, g and ā of every step,
// from the caches: (P / 32 + N / 64 · 3) · 4 T B N.
#pragma once

#include "replay/launch.hpp"
#include "step/complete.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

constexpr int replay_rows = 8;  // per thread
constexpr int replay_tile_rows = replay_rows * block_warps;

/// Adds the steps of one batch element to the sums of rows first_row + r and column j.
template <Rule rule, Eligibility kind, class Trace>
__device__ void replay_element(const Replay& replay, std::int64_t b, std::int64_t first_row, std::int64_t j,
                               float (&sums)[replay_rows]) {
  const StepParams& p = replay.params;
  const Record& record = replay.record;
  const std::int64_t N = p.N, length = length_of(p, b);
  const auto initial = traces_on_tape<kind, Trace>(record) + ((b * p.P + first_row) * N + j);
  TracePair<kind> traces[replay_rows] = {};
#pragma unroll
  for (int r = 0; r < replay_rows; ++r) {
    if (first_row + r < p.P) traces[r].load(initial + r * N);
  }
  float eta = 0;
  if constexpr (kind != Eligibility::none) eta = *p.eta;
  for (std::int64_t t = 0; t < length; ++t) {
    if (resets(p, t, b)) {
#pragma unroll
      for (int r = 0; r < replay_rows; ++r) traces[r].set_zero();
    }
    const RecordedUpdate step(p, record, t, b, j);
    const float da = replay.da[(t * p.B + b) * replay.width + replay.da_column + j];
#pragma unroll
    for (int r = 0; r < replay_rows; ++r) {
      if (first_row + r >= p.P) continue;
      const float x = step.x[first_row + r];
      sums[r] += x * da * TraceRule<rule>::read(traces[r].h[0], p.clip);
      traces[r].template update<rule>(0, x, step.y, step.rate, eta, p.clip);
    }
  }
}

template <Rule rule, Eligibility kind, class Trace>
__global__ void __launch_bounds__(block_threads, 1) replay_kernel(const __grid_constant__ Replay replay) {
  const StepParams& p = replay.params;
  const std::int64_t row_tiles = (p.P + replay_tile_rows - 1) / replay_tile_rows;
  std::int64_t block = blockIdx.x;
  const std::int64_t j = block % p.tiles * tile_columns + lane_id();
  block /= p.tiles;
  const std::int64_t first_row = block % row_tiles * replay_tile_rows + warp_id() * replay_rows;
  const std::int64_t group = block / row_tiles;
  if (j >= p.N || first_row >= p.P) return;
  const std::int64_t elements = (p.B + replay.groups - 1) / replay.groups, last = (group + 1) * elements;
  float sums[replay_rows] = {};
  for (std::int64_t b = group * elements; b < p.B && b < last; ++b) {
    replay_element<rule, kind, Trace>(replay, b, first_row, j, sums);
  }
#pragma unroll
  for (int r = 0; r < replay_rows; ++r) {
    if (first_row + r < p.P) replay.partial[(group * p.P + first_row + r) * p.N + j] = sums[r];
  }
}

}  // namespace plasticity::cuda
