// The traces before each step of a segment, from the checkpoint at its beginning:
//   H(t+1) ← rule(H(t), g(t), x(t) y(t)) and E likewise,  t = first … first + K − 1
// from the recorded x, y and g. No connection depends on another connection's trace. The operations are
// forward's, so the bits are too.
// Grid: one block of 256 threads per tile of 64 rows and 32 columns of each batch element. A thread owns 8
// rows of one column. Bytes: the checkpoint read once, 4 B P N (2 in bfloat16), and K traces written, 4 K B P
// N; x, y and g from the caches.
#pragma once

#include "replay/launch.hpp"
#include "step/complete.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

/// Rows row + r * step, r = 0 … count − 1, of one column. Rows from P on do not exist.
struct ReplayedRows {
  std::int64_t row, step, column;
};

/// The trace of a checkpoint, of float or bfloat16, from which the replay starts.
template <Rule rule, Eligibility kind>
__device__ __forceinline__ void load_checkpoint(const StepParams& p, const Record& record, std::int64_t place,
                                                TracePair<kind>& traces) {
  if (record.hebb16 == nullptr) {
    traces.load(traces_on_tape<kind, float>(record) + place);
  } else {
    traces.load(traces_on_tape<kind, __nv_bfloat16>(record) + place);
    traces.h[0] = restored<rule>(traces.h[0], p.clip);
  }
}

/// Replays one segment of batch element b for `count` rows of a column, and stores the traces.
template <Rule rule, Eligibility kind, int count>
__device__ void replay_rows_of_segment(const Segment& segment, std::int64_t b, std::int64_t length,
                                       const ReplayedRows& own) {
  const StepParams& p = segment.params;
  const Record& record = segment.record;
  const std::int64_t N = p.N, BPN = p.B * p.P * N, slot = segment.first / record.interval;
  const std::int64_t begin = (b * p.P + own.row) * N + own.column, stride = own.step * N;
  const auto exists = [&](int r) { return own.row + r * own.step < p.P; };
  TracePair<kind> traces[count] = {};
#pragma unroll
  for (int r = 0; r < count; ++r) {
    if (exists(r)) load_checkpoint<rule>(p, record, slot * BPN + begin + r * stride, traces[r]);
  }
  float eta = 0;
  if constexpr (kind != Eligibility::none) eta = *p.eta;
  const TracePointers<kind, float> out{segment.hebb, segment.eligibility};
  for (std::int64_t s = 0; s < record.interval && segment.first + s < length; ++s) {
    const std::int64_t t = segment.first + s;
    if (resets(p, t, b)) {
#pragma unroll
      for (int r = 0; r < count; ++r) traces[r].set_zero();
    }
    const RecordedUpdate step(p, record, t, b, own.column);
#pragma unroll
    for (int r = 0; r < count; ++r) {
      if (!exists(r)) continue;
      traces[r].store(out + (s * BPN + begin + r * stride));
      traces[r].template update<rule>(0, step.x[own.row + r * own.step], step.y, step.rate, eta, p.clip);
    }
  }
}

constexpr int segment_rows = 8;  // per thread
constexpr int segment_tile_rows = segment_rows * block_warps;

template <Rule rule, Eligibility kind>
__global__ void __launch_bounds__(block_threads, 1) segment_kernel(const __grid_constant__ Segment segment) {
  const StepParams& p = segment.params;
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
