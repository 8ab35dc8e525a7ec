// The traces H and E of a thread's connections, in registers for a whole sequence. Loads and stores between a
// sequence and global memory.
#pragma once

#include "resident/place.cuh"
#include "step/rounding.cuh"

namespace plasticity::cuda {

/// The traces of a thread, or their gradients.
template <Eligibility kind, ThreadShape shape>
struct ThreadTraces {
  static constexpr int chunks = Place<shape>::max_chunks, eligible = kind != Eligibility::none;
  Chunk h[chunks], e[eligible ? chunks : 1];
};

/// Calls visit(chunk, h, e) for every chunk of the thread; e is ignored without an eligibility trace.
template <Eligibility kind, ThreadShape shape, class Visit>
__device__ __forceinline__ void for_each_chunk(ThreadTraces<kind, shape>& traces, int count, Visit visit) {
#pragma unroll
  for (int chunk = 0; chunk < Place<shape>::max_chunks; ++chunk)
    if (chunk < count) visit(chunk, traces.h[chunk], traces.e[kind == Eligibility::none ? 0 : chunk]);
}

/// Sets all traces to zero. Rows and columns that do not exist stay zero from then on.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void clear_traces(ThreadTraces<kind, shape>& traces) {
#pragma unroll
  for (int chunk = 0; chunk < Place<shape>::max_chunks; ++chunk) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      traces.h[chunk][k] = opaque_zero();
      if constexpr (kind != Eligibility::none) traces.e[chunk][k] = opaque_zero();
    }
  }
}

/// Pointers to H and E of one batch element, [P,N]. Null: not wanted.
template <class T>
struct ElementTraces {
  T *hebb, *eligibility;
};

/// Loads the existing connections from the pointers that are not null.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void load_traces(ThreadTraces<kind, shape>& traces, const Place<shape>& at,
                                            std::int64_t P, std::int64_t N,
                                            const ElementTraces<const float>& from) {
  if (from.hebb != nullptr) {
    const bool wide = is_wide(from.hebb, N);
    for_each_chunk(traces, at.chunks, [&](int chunk, Chunk& h, Chunk&) {
      load_trace_chunk(at, from.hebb, P, N, wide, chunk, h);
    });
  }
  if constexpr (kind != Eligibility::none) {
    if (from.eligibility == nullptr) return;
    const bool wide = is_wide(from.eligibility, N);
    for_each_chunk(traces, at.chunks, [&](int chunk, Chunk&, Chunk& e) {
      load_trace_chunk(at, from.eligibility, P, N, wide, chunk, e);
    });
  }
}

/// Stores the existing values of a chunk, converted by to_stored(value). `wide`: see is_wide().
template <ThreadShape shape, class T, class ToStored>
__device__ __forceinline__ void store_matrix_chunk(const Place<shape>& at, T* matrix, std::int64_t P,
                                                   std::int64_t N, bool wide, int chunk, const Chunk& from,
                                                   ToStored to_stored) {
  const int i = at.row_of(at.row_in(chunk, 0));
  if constexpr (Place<shape>::V == 4) {
    if (wide) {
      T values[4];
#pragma unroll
      for (int k = 0; k < 4; ++k) values[k] = to_stored(from[k]);
      if (i < P && at.existing > 0) store_four_global(matrix + i * N + at.column, values);
      return;
    }
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int row = at.row_of(at.row_in(chunk, k)), j = at.column_in(k);
    if (row < P && j < at.existing) matrix[row * N + at.column + j] = to_stored(from[k]);
  }
}

/// Stores the existing connections to the pointers that are not null.
template <Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_traces(ThreadTraces<kind, shape>& traces, const Place<shape>& at,
                                             std::int64_t P, std::int64_t N, const ElementTraces<float>& to) {
  const auto plain = [](float value) { return value; };
  if (to.hebb != nullptr) {
    const bool wide = is_wide(to.hebb, N);
    for_each_chunk(traces, at.chunks, [&](int chunk, Chunk& h, Chunk&) {
      store_matrix_chunk(at, to.hebb, P, N, wide, chunk, h, plain);
    });
  }
  if constexpr (kind != Eligibility::none) {
    if (to.eligibility == nullptr) return;
    const bool wide = is_wide(to.eligibility, N);
    for_each_chunk(traces, at.chunks, [&](int chunk, Chunk&, Chunk& e) {
      store_matrix_chunk(at, to.eligibility, P, N, wide, chunk, e, plain);
    });
  }
}

/// Stores the existing connections, rounded for a bfloat16 tape.
template <Form form, Eligibility kind, ThreadShape shape>
__device__ __forceinline__ void store_rounded_traces(ThreadTraces<kind, shape>& traces,
                                                     const Place<shape>& at, std::int64_t P, std::int64_t N,
                                                     float clip, const ElementTraces<__nv_bfloat16>& to) {
  const bool wide = is_wide(to.hebb, N);
  for_each_chunk(traces, at.chunks, [&](int chunk, Chunk& h, Chunk& e) {
    store_matrix_chunk(at, to.hebb, P, N, wide, chunk, h,
                       [&](float value) { return from_float<__nv_bfloat16>(rounded<form>(value, clip)); });
    if constexpr (kind != Eligibility::none) {
      store_matrix_chunk(at, to.eligibility, P, N, wide && is_wide(to.eligibility, N), chunk, e,
                         [](float value) { return from_float<__nv_bfloat16>(value); });
    }
  });
}

}  // namespace plasticity::cuda
