// The part of a thread: its rows and columns, and its place in shared memory.
#pragma once

#include "common/lanes.cuh"
#include "common/pack.cuh"
#include "resident/launch.hpp"

namespace plasticity::cuda {

/// The rows i = row, row + row_groups, … and the columns column … column + V − 1 of a thread.
template <ThreadShape shape>
struct Place {
  static constexpr ThreadTraits traits = traits_of(shape);
  static constexpr int V = traits.columns, row_groups = traits.row_groups(), warps = traits.warps_per_tile();
  static constexpr int max_chunks = traits.chunks(traits.max_rows);

  int row;   // the first: the row group
  int rows;  // per thread
  int chunks;
  int warp;      // among the warps of the tile
  int local;     // the first column, within the block
  int column;    // the first column, within the network
  int existing;  // columns that exist: 0 … V
  int chunk;     // the offset of the first chunk in a slice; the next is 128 floats further

  __device__ Place(const GroupShape& group, int own_chunks, int rank, int N)
      : rows(group.rows), chunks(own_chunks) {
    const int lane = lane_id();
    warp = warp_id() % warps;
    row = lane / row_lanes * warps + warp;
    local = (tile() * row_lanes + lane % row_lanes) * V;
    column = rank * group.columns + local;
    const int left = N - column;
    existing = left <= 0 ? 0 : (left < V ? left : V);
    chunk = 4 * (warp_id() * chunks * 32 + lane);
  }

  /// The thread's tile, among those of the block.
  __device__ static int tile() { return warp_id() / warps; }

  /// Row r of the thread; of a chunk and one of its four values.
  __device__ int row_of(int r) const { return row + row_groups * r; }
  __device__ static constexpr int row_in(int chunk, int k) { return V == 4 ? chunk : 4 * chunk + k; }
  __device__ static constexpr int column_in(int k) { return V == 4 ? k : 0; }
};

/// A chunk: four columns of a row, or four rows of a column. Thread by thread a warp's chunks are neighbours.
constexpr int chunk_stride = 128;

using Chunk = float[4];

__device__ __forceinline__ void load_chunk(const float* shared, Chunk& to) {
  const Pack<float> pack = load_pack(shared);
#pragma unroll
  for (int k = 0; k < 4; ++k) to[k] = pack[k];
}
__device__ __forceinline__ void store_chunk(float* shared, const Chunk& from) {
  Pack<float> pack;
#pragma unroll
  for (int k = 0; k < 4; ++k) pack[k] = from[k];
  store_16(shared, detail::as_bits(pack));
}

/// Loads the thread's part of row i of a matrix [P,N] from global memory, or its rows of a chunk. Values that
/// do not exist are zero. `row_stride`: 0 if all rows are equal; `column_stride`: 0 if all columns are.
template <ThreadShape shape, class T>
__device__ __forceinline__ void load_matrix_chunk(const Place<shape>& at, const T* matrix, std::int64_t P,
                                                  std::int64_t row_stride, std::int64_t column_stride,
                                                  int chunk, Chunk& to) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const int i = at.row_of(at.row_in(chunk, k)), j = at.column_in(k);
    const bool exists = i < P && j < at.existing;
    to[k] = exists ? to_float(matrix[i * row_stride + (at.column + j) * column_stride]) : 0.0f;
  }
}

/// Whether the traces at `matrix` [P,N] can be accessed four columns at a time.
template <class T>
__device__ __forceinline__ bool is_wide(const T* matrix, std::int64_t N) {
  return N % 4 == 0 && reinterpret_cast<std::uintptr_t>(matrix) % (4 * sizeof(T)) == 0;
}

/// As load_matrix_chunk(), of traces [P,N]. `wide`: see is_wide().
template <ThreadShape shape, class T>
__device__ __forceinline__ void load_trace_chunk(const Place<shape>& at, const T* traces, std::int64_t P,
                                                 std::int64_t N, bool wide, int chunk, Chunk& to) {
  if constexpr (Place<shape>::V == 4) {
    if (wide) {
      const int i = at.row_of(chunk);
#pragma unroll
      for (int k = 0; k < 4; ++k) to[k] = 0;
      if (i < P && at.existing > 0) load_four_once(traces + i * N + at.column, to);
      return;
    }
  }
  load_matrix_chunk(at, traces, P, N, 1, chunk, to);
}

/// Loads the values of the thread's columns.
template <int V>
__device__ __forceinline__ void load_own_columns(const float* shared, float (&to)[V]) {
  if constexpr (V == 4) {
    load_chunk(shared, to);
  } else {
    to[0] = *shared;
  }
}

/// Clears shared memory from layout.zero on, and loads the thread's part of w and alpha into it. Its own
/// barrier separates the two.
template <ThreadShape shape, class Layout>
__device__ __forceinline__ void load_matrices(const Place<shape>& at, const StepParams& p,
                                              const Layout& layout, float* memory) {
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  for (int k = layout.zero + thread; k < layout.floats; k += threads) memory[k] = 0;
  __syncthreads();
  for (int chunk = 0; chunk < at.chunks; ++chunk) {
    Chunk w, alpha;
    load_matrix_chunk(at, p.w, p.P, p.N, 1, chunk, w);
    load_matrix_chunk(at, p.alpha, p.P, p.alpha_row, p.alpha_column, chunk, alpha);
    store_chunk(memory + layout.w + at.chunk + chunk * chunk_stride, w);
    store_chunk(memory + layout.alpha + at.chunk + chunk * chunk_stride, alpha);
  }
}

}  // namespace plasticity::cuda
