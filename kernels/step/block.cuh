// The position of a thread in a step kernel, loads and stores of its columns, and sums over its block. Every
// sum has one fixed order.
#pragma once

#include "common/launch.hpp"
#include "common/pack.cuh"
#include "step/params.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

/// A block owns one tile of columns of one batch element, and all rows. A thread owns V neighbouring columns
/// of every `groups`-th row. The threads of a row group are neighbours.
template <int V>
struct ThreadTile {
  static constexpr int lanes = tile_columns / V;        // threads per row
  static constexpr int groups = block_threads / lanes;  // rows per pass of the block
  std::int64_t b, column;
  int tile, group;
  bool inside;  // whether the thread's columns exist

  __device__ explicit ThreadTile(const StepParams& p)
      : b(blockIdx.x / p.tiles),
        tile(static_cast<int>(blockIdx.x % p.tiles)),
        group(static_cast<int>(threadIdx.x) / lanes) {
    column = std::int64_t{tile} * tile_columns + threadIdx.x % lanes * V;
    inside = column < p.N;
  }
};

/// The column that a thread finishes after the sums over rows: one column per thread of the first warp.
struct OwnColumn {
  std::int64_t j;
  bool exists;

  __device__ OwnColumn(const StepParams& p, int tile)
      : j(std::int64_t{tile} * tile_columns + threadIdx.x), exists(threadIdx.x < tile_columns && j < p.N) {}
};

__device__ inline int lane_id() { return static_cast<int>(threadIdx.x % 32); }
__device__ inline int warp_id() { return static_cast<int>(threadIdx.x / 32); }

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct Max {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }
};

/// Folds `value` over the block and returns the result to every thread. All threads call it. `words`: shared
/// memory.
template <class Fold>
__device__ float block_fold(float value, Fold fold, float (&words)[block_warps]) {
  for (int distance = 16; distance > 0; distance /= 2) {
    value = fold(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  __syncthreads();  // other warps may still read `words` of the previous fold
  if (lane_id() == 0) words[warp_id()] = value;
  __syncthreads();
  value = words[0];
  for (int warp = 1; warp < block_warps; ++warp) value = fold(value, words[warp]);
  return value;
}

/// The sums over a block's rows, per warp. Every thread stores its V columns by store_column_sums(). After a
/// __syncthreads(), column_sum() returns the sum of tile column `column`.
using ColumnSums = float[block_warps][tile_columns];

template <int V>
__device__ void store_column_sums(const float (&sums)[V], ColumnSums& parts) {
  constexpr int lanes = ThreadTile<V>::lanes;
#pragma unroll
  for (int k = 0; k < V; ++k) {
    float sum = sums[k];
#pragma unroll
    for (int distance = lanes; distance < 32; distance *= 2) {
      sum += __shfl_xor_sync(0xffffffffu, sum, distance);
    }
    if (lane_id() < lanes) parts[warp_id()][lane_id() * V + k] = sum;
  }
}

__device__ inline float column_sum(const ColumnSums& parts, int column) {
  float sum = parts[0][column];
  for (int warp = 1; warp < block_warps; ++warp) sum += parts[warp][column];
  return sum;
}

/// Loads V neighbouring elements of memory that this kernel may write.
template <int V, class T>
__device__ __forceinline__ void load_columns(const T* p, float (&v)[V]) {
  if constexpr (V == 1) {
    v[0] = to_float(*p);
  } else {
    constexpr int size = Pack<T>::size;
#pragma unroll
    for (int part = 0; part < V; part += size) {
      const Pack<T> pack = load_pack_once(p + part);
#pragma unroll
      for (int k = 0; k < size; ++k) v[part + k] = to_float(pack[k]);
    }
  }
}

/// Loads V neighbouring weights, which no kernel writes meanwhile.
template <int V>
__device__ __forceinline__ void load_weights(const float* p, float (&v)[V]) {
  if constexpr (V == 1) {
    v[0] = __ldg(p);
  } else {
#pragma unroll
    for (int part = 0; part < V; part += 4) {
      const Pack<float> pack = load_pack_once_read_only(p + part);
#pragma unroll
      for (int k = 0; k < 4; ++k) v[part + k] = pack[k];
    }
  }
}

/// V neighbouring elements of a vector, by 16 bytes if the vector is aligned to 16 bytes.
template <int V>
__device__ __forceinline__ void load_row(const float* p, float (&v)[V]) {
  if constexpr (V % 4 == 0) {
    if (reinterpret_cast<std::uintptr_t>(p) % 16 == 0) {
#pragma unroll
      for (int part = 0; part < V; part += 4) {
        const Pack<float> pack = load_pack(p + part);
#pragma unroll
        for (int k = 0; k < 4; ++k) v[part + k] = pack[k];
      }
      return;
    }
  }
#pragma unroll
  for (int k = 0; k < V; ++k) v[k] = p[k];
}

template <int V, class T>
__device__ __forceinline__ void store_columns(T* p, const float (&v)[V]) {
  if constexpr (V == 1) {
    *p = from_float<T>(v[0]);
  } else if constexpr (V < Pack<T>::size) {
    static_assert(V * sizeof(T) == 8);
    struct alignas(8) Half {
      T value[V];
    } half;
#pragma unroll
    for (int k = 0; k < V; ++k) half.value[k] = from_float<T>(v[k]);
    store_8_global(p, *reinterpret_cast<uint2*>(&half));
  } else {
    constexpr int size = Pack<T>::size;
#pragma unroll
    for (int part = 0; part < V; part += size) {
      Pack<T> pack;
#pragma unroll
      for (int k = 0; k < size; ++k) pack[k] = from_float<T>(v[part + k]);
      store_pack_global(p + part, pack);
    }
  }
}

__device__ inline float sigmoid(float a) { return 1 / (1 + expf(-a)); }

}  // namespace plasticity::cuda
