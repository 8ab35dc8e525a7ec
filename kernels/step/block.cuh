// The position of a thread in a step kernel, loads and stores of its columns, and sums over its block. Every
// sum has one fixed order.
#pragma once

#include "common/lanes.cuh"
#include "common/launch.hpp"
#include "common/pack.cuh"
#include "step/params.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

/// A tile of a step kernel's grid, and the batch elements whose columns of that tile the block has. Odd steps
/// visit the grid backwards: the end of the traces is then still in L2.
struct BlockTile {
  int tile, elements;
  unsigned first;  // batch element

  /// `per_block`: elements per block.
  __device__ BlockTile(const StepParams& p, int per_block, std::int64_t t) {
    const unsigned tiles = static_cast<unsigned>(p.tiles),
                   index = t % 2 == 0 ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
    tile = static_cast<int>(index % tiles);
    first = index / tiles * static_cast<unsigned>(per_block);
    const std::int64_t left = p.B - first;
    elements = left < per_block ? static_cast<int>(left) : per_block;
  }
};

/// A thread's columns of a tile: V neighbouring columns of every `groups`-th row. The threads of a row group
/// are neighbours.
template <int V>
struct ThreadTile {
  static constexpr int lanes = tile_columns / V;        // threads per row
  static constexpr int groups = block_threads / lanes;  // rows per pass of the block
  int column;
  int loaded;  // the columns that the thread loads: its own, or the tile's first ones if they do not exist
  int group;
  bool inside;  // whether the thread's columns exist

  __device__ ThreadTile(const StepParams& p, int tile)
      : column(tile * tile_columns + static_cast<int>(threadIdx.x % lanes) * V),
        group(static_cast<int>(threadIdx.x / lanes)),
        inside(column < p.N) {
    loaded = inside ? column : tile * tile_columns;
  }

  /// The number of rows that row group `of` has: of, of + groups, …
  __device__ static int rows_of(int of, std::int64_t P) {
    return of < P ? static_cast<int>((P - of + groups - 1) / groups) : 0;
  }
  __device__ int rows(std::int64_t P) const { return rows_of(group, P); }
  /// The smallest and the largest number of rows in the thread's warp.
  __device__ int min_rows(std::int64_t P) const { return rows_of(warp_first() + 32 / lanes - 1, P); }
  __device__ int max_rows(std::int64_t P) const { return rows_of(warp_first(), P); }

 private:
  __device__ static int warp_first() { return warp_id() * (32 / lanes); }
};

/// The column that a thread finishes after the sums over rows, and its batch element: warp e has the columns
/// of the block's element e, one per lane.
struct OwnColumn {
  std::int64_t j;
  bool exists;

  __device__ OwnColumn(const StepParams& p, int tile)
      : j(std::int64_t{tile} * tile_columns + threadIdx.x % tile_columns), exists(j < p.N) {}
};

/// Loads V neighbouring elements of memory that this kernel may write.
template <int V, class T>
__device__ __forceinline__ void load_columns(const T* p, float (&v)[V]) {
  if constexpr (V == 1) {
    v[0] = to_float(*p);
  } else if constexpr (V < Pack<T>::size) {
    static_assert(V * sizeof(T) == 8);
    struct alignas(8) Half {
      T value[V];
    };
    const uint2 bits = load_8_once(p);
    const Half half = *reinterpret_cast<const Half*>(&bits);
#pragma unroll
    for (int k = 0; k < V; ++k) v[k] = to_float(half.value[k]);
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

/// V neighbouring elements of a vector of the plan's memory, which is aligned to them.
template <int V>
__device__ __forceinline__ void load_tape_row(const float* p, float (&v)[V]) {
  if constexpr (V % 4 == 0) {
#pragma unroll
    for (int part = 0; part < V; part += 4) {
      const Pack<float> pack = load_pack(p + part);
#pragma unroll
      for (int k = 0; k < 4; ++k) v[part + k] = pack[k];
    }
  } else {
#pragma unroll
    for (int k = 0; k < V; ++k) v[k] = p[k];
  }
}

/// V neighbouring elements of shared memory.
template <int V>
__device__ __forceinline__ void load_tile_row(const float* p, float (&v)[V]) {
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
