// The pass over a thread's connections in one step of forward:
//   H ← the update of step t − 1, and E likewise;  s_j += x_i (w_ij + α_ij φ(H_ij))
// Per connection of the form `clipped` without an eligibility trace: three multiply-adds, a minimum and a
// maximum; per four connections one load each of w and α, of 16 bytes, and per four rows two loads of x. No
// address is computed: offsets in shared memory are constants of the compiled code.
#pragma once

#include "resident/traces.cuh"
#include "rules/connection.hpp"

namespace plasticity::cuda {

/// The inputs of a pass for one thread.
template <int V>
struct ForwardColumns {
  float kept[V], drive[V], y[V];
  float eta;
  float limit;      // of the update's clamp; infinite if there is no update
  float read_clip;  // of φ
};

/// w and alpha of a thread's connections: in shared memory, or for large slices read from the caller's
/// matrices.
template <ThreadShape shape>
struct Weights {
  const float *w, *alpha;  // in shared memory: the thread's first chunk
  std::int64_t P, N, alpha_row, alpha_column;

  __device__ __forceinline__ void load(const Place<shape>& at, int chunk, Chunk& w_chunk,
                                       Chunk& alpha_chunk) const {
    if constexpr (Place<shape>::traits.in_registers) {
      load_chunk(w + chunk * chunk_stride, w_chunk);
      load_chunk(alpha + chunk * chunk_stride, alpha_chunk);
    } else {
      load_matrix_chunk(at, w, P, N, 1, chunk, w_chunk);
      load_matrix_chunk(at, alpha, P, alpha_row, alpha_column, chunk, alpha_chunk);
    }
  }
};

/// One chunk of the pass. `x_before`, `x_now`: of its rows.
template <Form form, Eligibility kind, int V, int rows>
__device__ __forceinline__ void update_and_read(Chunk& h, Chunk& e, const Chunk& w, const Chunk& alpha,
                                                const float (&x_before)[rows], const float (&x_now)[rows],
                                                const ForwardColumns<V>& c, float (&s)[V]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int i = rows == 4 ? k : 0, j = V == 4 ? k : 0;
    const float drive = drive_of<kind>(e[k], x_before[i], c.y[j], c.eta);
    h[k] = unclamped_update<form>(h[k], drive, ColumnFactors<float>{c.kept[j], c.drive[j], c.y[j]});
    if constexpr (form == Form::clipped || form == Form::soft) h[k] = clamp(h[k], c.limit);
    const float read = read_trace<form>(h[k], c.read_clip);
    s[j] = multiply_add(x_now[i], multiply_add(alpha[k], read, w[k]), s[j]);
  }
}

/// The pass. `x_before`, `x_now`: x of the thread's rows, in shared memory. Adds to the sums of the thread's
/// classes.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void forward_pass(ThreadTraces<kind, shape>& traces, const Place<shape>& at,
                                             const Weights<shape>& weights, const float* x_before,
                                             const float* x_now, const ForwardColumns<Place<shape>::V>& c,
                                             float (&s)[Place<shape>::traits.classes][Place<shape>::V]) {
  constexpr ThreadTraits traits = Place<shape>::traits;
  constexpr int V = traits.columns;
  // Four rows share the loads of x. A slice with fewer rows leaves the unrolled loop early.
  const auto four_rows = [&](int r, auto&& chunk_at) {
    Chunk before, now;
    load_chunk(x_before + r, before);
    load_chunk(x_now + r, now);
    if constexpr (V == 1) {
      chunk_at(r / 4, [&](Chunk& h, Chunk& e) {
        Chunk w, alpha;
        weights.load(at, r / 4, w, alpha);
        update_and_read<form, kind, V, 4>(h, e, w, alpha, before, now, c, s[0]);
      });
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (r + k >= at.rows) break;
        chunk_at(r + k, [&](Chunk& h, Chunk& e) {
          Chunk w, alpha;
          weights.load(at, r + k, w, alpha);
          const float one_before[1] = {before[k]}, one_now[1] = {now[k]};
          update_and_read<form, kind, V, 1>(h, e, w, alpha, one_before, one_now, c, s[k % traits.classes]);
        });
      }
    }
  };
  if constexpr (traits.in_registers) {
#pragma unroll
    for (int r = 0; r < traits.max_rows; r += 4) {
      if (r >= at.rows) break;
      four_rows(r, [&](int chunk, auto&& body) {
        body(traces.h[chunk], traces.e[kind == Eligibility::none ? 0 : chunk]);
      });
    }
  } else {
#pragma unroll 1
    for (int r = 0; r < at.rows; r += 4) {
      four_rows(r, [&](int chunk, auto&& body) {
        Chunk h, e{};
        load_chunk(traces.hebb + chunk * chunk_stride, h);
        if constexpr (kind != Eligibility::none) load_chunk(traces.eligibility + chunk * chunk_stride, e);
        body(h, e);
        store_chunk(traces.hebb + chunk * chunk_stride, h);
        if constexpr (kind != Eligibility::none) store_chunk(traces.eligibility + chunk * chunk_stride, e);
      });
    }
  }
}

}  // namespace plasticity::cuda
