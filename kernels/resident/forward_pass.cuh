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
  float retention[V], gain[V], y[V];
  float eta;
  float limit;      // of the update's clamp; infinite if there is no update
  float read_clip;  // of φ
};

/// w and alpha of a thread's connections in shared memory: its first chunks.
struct Weights {
  const float *w, *alpha;

  __device__ __forceinline__ void load(int chunk, Chunk& w_chunk, Chunk& alpha_chunk) const {
    load_chunk(w + chunk * chunk_stride, w_chunk);
    load_chunk(alpha + chunk * chunk_stride, alpha_chunk);
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
    const float drive = presynaptic_drive<kind>(e[k], x_before[i], c.y[j], c.eta);
    h[k] = unclamped_update<form>(h[k], drive, ColumnFactors<float>{c.retention[j], c.gain[j], c.y[j]});
    if constexpr (form == Form::clipped || form == Form::soft) h[k] = clamp(h[k], c.limit);
    const float read = read_trace<form>(h[k], c.read_clip);
    s[j] = multiply_add(x_now[i], multiply_add(alpha[k], read, w[k]), s[j]);
  }
}

/// The pass. `x_before`, `x_now`: x of the thread's rows, in shared memory. Adds to the sums of the thread's
/// classes.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void forward_pass(ThreadTraces<kind, shape>& traces, const Place<shape>& at,
                                             const Weights& weights, const float* x_before,
                                             const float* x_now, const ForwardColumns<Place<shape>::V>& c,
                                             float (&s)[Place<shape>::traits.classes][Place<shape>::V]) {
  constexpr ThreadTraits traits = Place<shape>::traits;
  constexpr int V = traits.columns;
  constexpr bool eligible = kind != Eligibility::none;
  // Four rows share the loads of x. A slice with fewer rows leaves the unrolled loop early.
#pragma unroll
  for (int r = 0; r < traits.max_rows; r += 4) {
    if (r >= at.rows) break;
    Chunk before, now;
    load_chunk(x_before + r, before);
    load_chunk(x_now + r, now);
    if constexpr (V == 1) {
      Chunk w, alpha;
      weights.load(r / 4, w, alpha);
      update_and_read<form, kind, V, 4>(traces.h[r / 4], traces.e[eligible ? r / 4 : 0], w, alpha, before,
                                        now, c, s[0]);
    } else {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        if (r + k >= at.rows) break;
        Chunk w, alpha;
        weights.load(r + k, w, alpha);
        const float one_before[1] = {before[k]}, one_now[1] = {now[k]};
        update_and_read<form, kind, V, 1>(traces.h[r + k], traces.e[eligible ? r + k : 0], w, alpha,
                                          one_before, one_now, c, s[k % traits.classes]);
      }
    }
  }
}

}  // namespace plasticity::cuda
