// The traces before each step of a segment, from the checkpoint at its beginning:
//   H(t+1) ← rule(H(t), g(t), x(t) y(t)) and E likewise,  t = first … first + K − 1
// from the recorded x, y and g. No connection depends on another connection's trace. The operations are
// forward's, so the bits are too.
// Grid: one block of 256 threads per tile of 64 rows and 32 columns of each batch element. A thread owns V
// columns of 8 / V rows. Bytes: the checkpoint read once, 4 B P N (2 in bfloat16), and K traces written, 4 K
// B P N; x, y and g from the caches.
#pragma once

#include "replay/rows.cuh"

namespace plasticity::cuda {

/// The trace of a checkpoint, of float or bfloat16, from which the replay starts.
template <Form form, Eligibility kind, int V>
__device__ __forceinline__ void load_checkpoint(const StepParams& p, const Record& record, std::int64_t place,
                                                TracePair<kind, V>& traces) {
  if (record.hebb16 == nullptr) {
    traces.load(traces_on_tape<kind, float>(record) + place);
  } else {
    traces.load(traces_on_tape<kind, __nv_bfloat16>(record) + place);
#pragma unroll
    for (int k = 0; k < V; ++k) traces.h[k] = restored<form>(traces.h[k], p.clip);
  }
}

template <Form form, Eligibility kind, int V>
__global__ void __launch_bounds__(block_threads, 2) segment_kernel(const __grid_constant__ Segment segment) {
  constexpr int rows = ReplayTile<V>::rows;
  const StepParams& p = segment.params;
  const Record& record = segment.record;
  const ReplayTile<V> at(p);
  if (!at.exists) return;
  const std::int64_t N = p.N, b = at.outer, length = length_of(p, b), BPN = p.B * p.P * N,
                     begin = (b * p.P + at.row) * N + at.column;
  TracePair<kind, V> traces[rows] = {};
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (r < at.existing)
      load_checkpoint<form>(p, record, segment.first / record.interval * BPN + begin + r * N, traces[r]);
  }
  ReplayedSteps<form, kind, V> steps(p, record, segment.first, b, at);
  TracePointers<kind, float> out = TracePointers<kind, float>{segment.hebb, segment.eligibility} + begin;
  const std::int64_t end =
      segment.first + record.interval < length ? segment.first + record.interval : length;
#pragma unroll 1
  for (int left = static_cast<int>(end - segment.first); left > 0; --left) {
    const bool zeroed = steps.resets(p);
    if (zeroed) {
#pragma unroll
      for (int r = 0; r < rows; ++r) traces[r].set_zero();
    }
    steps.load(p, zeroed);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      if (r < at.existing) traces[r].store(out + r * N);
#pragma unroll
      for (int k = 0; k < V; ++k)
        traces[r].template update<form>(k, steps.x[r], steps.factors(k), steps.constants);
    }
    steps.advance(p);
    out = out + BPN;
  }
}

}  // namespace plasticity::cuda
