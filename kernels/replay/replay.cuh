// The gradient of α per connection:
//   ᾱ_ij = Σ_b Σ_t x_i(t) ā_j(t) φ(H_ij(t))
// with H worked out anew, forward in time, from the trace at the start and the recorded x, y and g: no
// connection needs another one's trace. Grid: a block of 256 threads for each tile of 64 rows and 32 columns,
// and each group of batch elements; a thread owns 8 rows of one column. The groups' sums are added up
// afterwards, in order. On chip: the traces and the sums, in registers. Bytes: the trace at the start of each
// batch element, 4 B P N; x, y, g and ā of every step come from the caches: (P / 32 + N / 64 · 3) · 4 T B N.
#pragma once

#include "replay/launch.hpp"
#include "rules/trace_update.hpp"
#include "step/complete.cuh"

namespace plasticity::cuda {

constexpr int replay_rows = 8;  // of a thread
constexpr int replay_tile_rows = replay_rows * block_warps;

/// The steps of one batch element for the rows first_row + r and column j.
template <Rule rule, Eligibility kind, class Trace>
__device__ void replay_element(const Replay& replay, std::int64_t b, std::int64_t first_row, std::int64_t j,
                               float (&sums)[replay_rows]) {
  const Problem& p = replay.problem;
  const Record& record = replay.record;
  const std::int64_t N = p.N, length = length_of(p, b), begin = (b * p.P + first_row) * N + j;
  const Trace* hebb = recorded_hebb<Trace>(record) + begin;
  float h[replay_rows] = {}, e[replay_rows] = {}, eta = 0;
#pragma unroll
  for (int r = 0; r < replay_rows; ++r) {
    if (first_row + r < p.P) h[r] = to_float(hebb[r * N]);
  }
  if constexpr (kind != Eligibility::none) {
    const Trace* eligibility = recorded_eligibility<Trace>(record) + begin;
    eta = *p.eta;
#pragma unroll
    for (int r = 0; r < replay_rows; ++r) {
      if (first_row + r < p.P) e[r] = to_float(eligibility[r * N]);
    }
  }
  for (std::int64_t t = 0; t < length; ++t) {
    if (resets(p, t, b)) {
#pragma unroll
      for (int r = 0; r < replay_rows; ++r) h[r] = e[r] = 0;
    }
    const Activities x = inputs_of(p, record, t, b);
    const float da = replay.da[(t * p.B + b) * replay.width + replay.da_column + j];
    const float y = *row_of(record.post, t + 1, b * N + j);
    const float M = p.modulator_weight == nullptr ? 0 : *row_of(record.modulation, t + 1, b);
    const float rate = rate_of(p, M, t, b, j);
#pragma unroll
    for (int r = 0; r < replay_rows; ++r) {
      if (first_row + r >= p.P) continue;
      const float x_i = x[first_row + r];
      sums[r] += x_i * da * TraceRule<rule>::read(h[r], p.clip);
      update_traces<rule, kind>(h[r], e[r], drive_of(x_i, y), rate, y, eta, p.clip);
    }
  }
}

template <Rule rule, Eligibility kind, class Trace>
__global__ void __launch_bounds__(block_threads, 1) replay_kernel(const __grid_constant__ Replay replay) {
  const Problem& p = replay.problem;
  const std::int64_t row_tiles = (p.P + replay_tile_rows - 1) / replay_tile_rows;
  std::int64_t block = blockIdx.x;
  const std::int64_t j = block % p.tiles * tile_columns + lane_id();
  block /= p.tiles;
  const std::int64_t first_row = block % row_tiles * replay_tile_rows + warp_id() * replay_rows;
  const std::int64_t group = block / row_tiles;
  if (j >= p.N || first_row >= p.P) return;
  const std::int64_t each = (p.B + replay.groups - 1) / replay.groups, last = (group + 1) * each;
  float sums[replay_rows] = {};
  for (std::int64_t b = group * each; b < p.B && b < last; ++b) {
    replay_element<rule, kind, Trace>(replay, b, first_row, j, sums);
  }
#pragma unroll
  for (int r = 0; r < replay_rows; ++r) {
    if (first_row + r < p.P) replay.partial[(group * p.P + first_row + r) * p.N + j] = sums[r];
  }
}

}  // namespace plasticity::cuda
