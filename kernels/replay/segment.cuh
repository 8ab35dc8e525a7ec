// The traces before each step of a segment, from the checkpoint at its beginning:
//   H(t+1) ← rule(H(t), g(t), x(t) y(t)) and E likewise,  t = first … first + K − 1
// from the recorded x, y and g: no connection needs another one's trace, and an operation is the one that
// forward did, so the bits are forward's. Grid: as of the replay (replay.cuh), a block of 256 threads for
// each tile of 64 rows and 32 columns of each batch element; a thread owns 8 rows of one column. Bytes: the
// checkpoint read once, 4 B P N (2 in bfloat16), and K traces written, 4 K B P N; x, y and g from the caches.
#pragma once

#include "replay/launch.hpp"
#include "rules/trace_update.hpp"
#include "step/complete.cuh"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// Rows of one column that are replayed together: row + r * step, r = 0 … Rows − 1, below P.
struct ReplayedRows {
  std::int64_t row, step, column;
};

template <Rule rule, Eligibility kind, int Rows>
__device__ void replay_rows_of_segment(const Segment& segment, std::int64_t b, std::int64_t length,
                                       const ReplayedRows& own) {
  const Problem& p = segment.problem;
  const Record& record = segment.record;
  const std::int64_t N = p.N, BPN = p.B * p.P * N, slot = segment.first / record.interval;
  const std::int64_t begin = (b * p.P + own.row) * N + own.column, stride = own.step * N;
  const auto there = [&](int r) { return own.row + r * own.step < p.P; };
  float h[Rows] = {}, e[Rows] = {}, eta = 0;
#pragma unroll
  for (int r = 0; r < Rows; ++r) {
    if (!there(r)) continue;
    const std::int64_t at = slot * BPN + begin + r * stride;
    if (record.hebb16 == nullptr) {
      h[r] = record.hebb.base[at];
      if constexpr (kind != Eligibility::none) e[r] = record.eligibility.base[at];
    } else {
      h[r] = restored<rule>(to_float(recorded_hebb<__nv_bfloat16>(record)[at]), p.clip);
      if constexpr (kind != Eligibility::none)
        e[r] = to_float(recorded_eligibility<__nv_bfloat16>(record)[at]);
    }
  }
  if constexpr (kind != Eligibility::none) eta = *p.eta;
  for (std::int64_t s = 0; s < record.interval && segment.first + s < length; ++s) {
    const std::int64_t t = segment.first + s;
    if (resets(p, t, b)) {
#pragma unroll
      for (int r = 0; r < Rows; ++r) h[r] = e[r] = 0;
    }
    const Activities x = inputs_of(p, record, t, b);
    const float y = *row_of(record.post, t + 1, b * N + own.column);
    const float M = p.modulator_weight == nullptr ? 0 : *row_of(record.modulation, t + 1, b);
    const float rate = rate_of(p, M, t, b, own.column);
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      if (!there(r)) continue;
      const std::int64_t at = s * BPN + begin + r * stride;
      segment.hebb[at] = h[r];
      if constexpr (kind != Eligibility::none) segment.eligibility[at] = e[r];
      update_traces<rule, kind>(h[r], e[r], drive_of(x[own.row + r * own.step], y), rate, y, eta, p.clip);
    }
  }
}

constexpr int segment_rows = 8;  // of a thread
constexpr int segment_tile_rows = segment_rows * block_warps;

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(block_threads, 1) segment_kernel(const __grid_constant__ Segment segment) {
  const Problem& p = segment.problem;
  const std::int64_t row_tiles = (p.P + segment_tile_rows - 1) / segment_tile_rows;
  std::int64_t block = blockIdx.x;
  const std::int64_t j = block % p.tiles * tile_columns + lane_id();
  block /= p.tiles;
  const std::int64_t first_row = block % row_tiles * segment_tile_rows + warp_id() * segment_rows,
                     b = block / row_tiles, length = length_of(p, b);
  if (j >= p.N || first_row >= p.P) return;
  replay_rows_of_segment<rule, kind, segment_rows>(segment, b, length, {first_row, 1, j});
}

}  // namespace plasticity::cuda
