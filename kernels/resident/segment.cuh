// The traces before each step of a segment of K steps, replayed from the checkpoint at its beginning:
//   H(t+1) ← rule(H(t), g(t), x(t) y(t)) and E likewise
// from the recorded x, y and g, in forward's operations. Each thread replays its own connections, without a
// barrier of the group, into global memory (mostly L2), in the order of its chunks: the pass reads them back
// by 16 bytes.
#pragma once

#include "resident/backward_block.cuh"

namespace plasticity::cuda {

/// The thread's first chunk of slot s of its segment: the traces before step first + s. H is at 0, E one
/// slice further. Slot K is zero.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ float* segment_slot(const BackwardBlock<form, kind, shape>& block, int s) {
  constexpr int traces = kind == Eligibility::none ? 1 : 2;
  const ResidentBackward& run = block.run;
  const std::int64_t slots = run.step.record.interval + 1,
                     first = (std::int64_t{block.group} * run.shape.blocks + block.exchange.rank) * slots;
  return run.segment + (first + s) * traces * run.layout.slice + block.at.chunk;
}

/// Loads or stores chunk `chunk` of a slot.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_replayed(const BackwardBlock<form, kind, shape>& block,
                                              const float* slot, int chunk, Chunk& h, Chunk& e) {
  const Pack<float> hebb = load_pack_once(slot + chunk * chunk_stride);
#pragma unroll
  for (int k = 0; k < 4; ++k) h[k] = hebb[k];
  if constexpr (kind != Eligibility::none) {
    const Pack<float> eligibility = load_pack_once(slot + block.layout.slice + chunk * chunk_stride);
#pragma unroll
    for (int k = 0; k < 4; ++k) e[k] = eligibility[k];
  }
}
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_replayed(const BackwardBlock<form, kind, shape>& block, float* slot,
                                               int chunk, const Chunk& h, const Chunk& e) {
  const auto store = [](float* to, const Chunk& from) {
    Pack<float> pack;
#pragma unroll
    for (int k = 0; k < 4; ++k) pack[k] = from[k];
    store_pack_global(to, pack);
  };
  store(slot + chunk * chunk_stride, h);
  if constexpr (kind != Eligibility::none) store(slot + block.layout.slice + chunk * chunk_stride, e);
}

/// Clears the slot of zeros.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ void clear_last_slot(const BackwardBlock<form, kind, shape>& block) {
  float* slot = segment_slot(block, static_cast<int>(block.step.record.interval));
  constexpr Chunk zero{};
  for (int chunk = 0; chunk < block.at.chunks; ++chunk) store_replayed(block, slot, chunk, zero, zero);
}

/// Stores the factors of column `own` of the block in factors[3,C].
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_factors(const BackwardBlock<form, kind, shape>& block, float* factors,
                                              int own, float rate, float y) {
  const RuleFactors<float> column =
      resident_factors<form, kind>(block.run.network.rule, rate, y, RuleConstants<float>{block.p.clip});
  factors[own] = column.retention;
  factors[block.width + own] = column.gain;
  factors[2 * block.width + own] = y;
}

/// x of a step on its way to shared memory, the first values of each thread in registers; zero after a reset
/// in a recurrent cell. All threads of the block load it, and store it after a barrier.
template <Form form, Eligibility kind, ThreadShape shape>
struct PresynapticCopy {
  static constexpr int ahead = max_threads(shape, form, kind != Eligibility::none) > 256 ? 1 : 4;
  const BackwardBlock<form, kind, shape>& block;
  const float* row;  // null: zeros
  float first[ahead];

  __device__ PresynapticCopy(const BackwardBlock<form, kind, shape>& backward, int t, int b)
      : block(backward) {
    const StepParams& p = block.p;
    const bool recurrent = p.cell != Cell::feedforward;
    row = recurrent ? block.step.record.output.at(t, b * p.N) : p.pre + (t * p.B + b) * p.P;
    if (recurrent && resets(p, t, b)) row = nullptr;
#pragma unroll
    for (int k = 0; k < ahead; ++k) first[k] = value(index(k));
  }
  __device__ int index(int k) const { return static_cast<int>(threadIdx.x + unsigned(k) * blockDim.x); }
  __device__ float value(int i) const { return i < block.p.P && row != nullptr ? row[i] : 0; }

  __device__ void store(float* x) const {
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (index(k) < block.p.P) x[block.x_place(index(k))] = first[k];
#pragma unroll 1
    for (int i = index(ahead); i < block.p.P; i += static_cast<int>(blockDim.x))
      x[block.x_place(i)] = value(i);
  }
};

/// The thread's chunk of the checkpoint before step `first`.
template <bool on_bf16, Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_checkpoint(const BackwardBlock<form, kind, shape>& block, int first,
                                                int b, int chunk, Chunk& h, Chunk& e) {
  const StepParams& p = block.p;
  const Record& record = block.step.record;
  const std::int64_t place = (first / static_cast<int>(record.interval) * p.B + b) * p.P * p.N;
  if constexpr (!on_bf16) {
    const float *hebb = record.hebb.base + place, *eligibility = record.eligibility.base + place;
    load_trace_chunk(block.at, hebb, p.P, p.N, is_wide(hebb, p.N), chunk, h);
    if constexpr (kind != Eligibility::none)
      load_trace_chunk(block.at, eligibility, p.P, p.N, is_wide(eligibility, p.N), chunk, e);
  } else {
    const auto *hebb = static_cast<const __nv_bfloat16*>(record.hebb16) + place,
               *eligibility = static_cast<const __nv_bfloat16*>(record.eligibility16) + place;
    load_trace_chunk(block.at, hebb, p.P, p.N, is_wide(hebb, p.N), chunk, h);
#pragma unroll
    for (int k = 0; k < 4; ++k) h[k] = restored<form>(h[k], p.clip);
    if constexpr (kind != Eligibility::none)
      load_trace_chunk(block.at, eligibility, p.P, p.N, is_wide(eligibility, p.N), chunk, e);
  }
}

/// The chunk of a thread before step first + s: replayed already, or from the checkpoint.
template <bool on_bf16, Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_before(const BackwardBlock<form, kind, shape>& block, int first, int s,
                                            int b, int chunk, Chunk& h, Chunk& e) {
  if (s == 0) {
    load_checkpoint<on_bf16>(block, first, b, chunk, h, e);
  } else {
    load_replayed(block, segment_slot(block, s), chunk, h, e);
  }
}

/// Replays up to replayed_steps steps from step first + s on. Slot s is replayed already, unless it is the
/// first. A thread loads as many chunks as its registers allow before it computes the first.
template <bool on_bf16, Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void replay_steps(const BackwardBlock<form, kind, shape>& block, int first, int s,
                                             int count, bool more, int b) {
  constexpr int V = Place<shape>::V, traces = kind == Eligibility::none ? 1 : 2;
  const StepParams& p = block.p;
  const float limit = update_limit<form>(p.clip);
  float eta = 0;
  if constexpr (kind != Eligibility::none) eta = block.eta();
  unsigned zeroed = 0;  // bit k: a reset before step first + s + k
  if (p.reset != nullptr) {
    for (int k = 0; k < count; ++k) zeroed |= resets(p, first + s + k, b) ? 1u << k : 0;
  }
  float* first_slot = segment_slot(block, s);
  const int slot_floats = traces * block.layout.slice;
  const auto replay = [&](int chunk, Chunk& h, Chunk& e) {
    float* slot = first_slot;
#pragma unroll 1
    for (int k = 0; k < count; ++k) {
      if ((zeroed >> k & 1) != 0) {
#pragma unroll
        for (int c = 0; c < 4; ++c) h[c] = e[c] = 0;
      }
      store_replayed(block, slot, chunk, h, e);
      slot += slot_floats;
      if (k + 1 == count && !more) break;
      float retention[V] = {}, gain[V], y[V] = {};
      if constexpr (has_retention<form>)
        load_own_columns(block.replayed_factors(k, 0) + block.at.local, retention);
      load_own_columns(block.replayed_factors(k, 1) + block.at.local, gain);
      if constexpr (kind != Eligibility::none)
        load_own_columns(block.replayed_factors(k, 2) + block.at.local, y);
      const float* x = block.own_rows(block.replayed_x(k));
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        const int j = Place<shape>::column_in(c);
        const ColumnFactors<float> column{retention[j], gain[j], y[j]};
        update_connection<form, kind>(h[c], e[c], x[Place<shape>::row_in(chunk, c)], column,
                                      UpdateConstants<float>{eta, limit});
      }
    }
    if (more) store_replayed(block, slot, chunk, h, e);
  };
  constexpr int ahead = kind == Eligibility::none && max_threads(shape, form, false) <= 256 ? 4 : 2;
#pragma unroll 1
  for (int chunk = 0; chunk < block.at.chunks; chunk += ahead) {
    Chunk h[ahead], e[ahead];
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (chunk + k < block.at.chunks) load_before<on_bf16>(block, first, s, b, chunk + k, h[k], e[k]);
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (chunk + k < block.at.chunks) replay(chunk + k, h[k], e[k]);
  }
}

/// Loads the inputs of `count` steps from step `first` on, x and the factors of the block's columns, into
/// shared memory. All threads of the block share the work, so that its loads are under way at once.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_updates(const BackwardBlock<form, kind, shape>& block, int first,
                                             int count, int b) {
  const StepParams& p = block.p;
  const Record& record = block.step.record;
  const bool recurrent = p.cell != Cell::feedforward;
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int i = thread; i < p.P; i += threads) {
    float x[replayed_steps];
#pragma unroll
    for (int k = 0; k < replayed_steps; ++k) {
      if (k >= count) continue;
      const int t = first + k;
      const float* row = recurrent ? record.output.at(t, b * p.N) : p.pre + (t * p.B + b) * p.P;
      x[k] = recurrent && resets(p, t, b) ? 0 : row[i];
    }
    const int place = block.x_place(i);
#pragma unroll
    for (int k = 0; k < replayed_steps; ++k)
      if (k < count) block.replayed_x(k)[place] = x[k];
  }
  for (int item = thread; item < count * block.width; item += threads) {
    const int k = static_cast<int>(static_cast<unsigned>(item) / static_cast<unsigned>(block.width));
    const int own = item - k * block.width, column = block.exchange.rank * block.width + own, t = first + k;
    if (column >= block.N) continue;
    const float rate = rate_of(p, recorded_modulation(p, record, t, b), t, b, column);
    store_factors(block, block.replayed_factors(k, 0), own, rate, *record.post.at(t + 1, b * p.N + column));
  }
}

/// Replays the segment from step `first` on, up to step `end`. All threads of the block call it.
template <bool on_bf16, Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void replay_segment(const BackwardBlock<form, kind, shape>& block, int first,
                                               int end, int b) {
#pragma unroll 1
  for (int s = 0; first + s < end; s += replayed_steps) {
    const int left = end - first - s, count = left < replayed_steps ? left : replayed_steps;
    load_updates(block, first + s, count, b);
    __syncthreads();
    replay_steps<on_bf16>(block, first, s, count, left > count, b);
    __syncthreads();
  }
}

}  // namespace plasticity::cuda
