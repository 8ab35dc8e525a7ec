// The sums of the library, each in one order that no launch shape changes. All paths therefore have the same
// bits.
//   Σ over rows i of a column: 32 classes, class = i mod 32, each in rising order of i with one multiply-add
//     per row. Then a tree: for d in 16, 8, 4, 2, 1: s[c] += s[c + d].
//   Σ over columns j of a row: within a tile of 32 columns a binary tree over the bits of j, bit 0 first.
//     Columns that do not exist add 0. The tiles follow in rising order. A row's sum of the read and that of
//     the update are formed apart and added last.
//   Σ over the columns of a batch element: 32 classes, class = j mod 32, then the same tree as for rows.
#pragma once

#include "step/block.cuh"

namespace plasticity::cuda {

constexpr int classes = 32;

/// The classes of rows that a thread has: group, group + groups, …
template <int V>
constexpr int classes_per_thread = classes / ThreadTile<V>::groups;

/// A thread's sums over its rows, per class and column.
template <int V>
using ThreadSums = float[classes_per_thread<V>][V];

/// The sums of a block's tile.
using TileSums = float[classes][tile_columns];

template <int V>
__device__ __forceinline__ void store_sums(const ThreadTile<V>& at, const ThreadSums<V>& s, TileSums& tile) {
  const int column = static_cast<int>(threadIdx.x % ThreadTile<V>::lanes) * V;
#pragma unroll
  for (int c = 0; c < classes_per_thread<V>; ++c) {
    float* to = &tile[at.group + c * ThreadTile<V>::groups][column];
    if constexpr (V == 4) {
      Pack<float> pack;
#pragma unroll
      for (int k = 0; k < 4; ++k) pack[k] = s[c][k];
      store_pack(to, pack);
    } else {
      *to = s[c][0];
    }
  }
}

/// s[c] += s[c + d] for c < d, then for d / 2, …
template <int d, int size>
__device__ __forceinline__ void fold_classes(float (&s)[size]) {
#pragma unroll
  for (int c = 0; c < d; ++c) s[c] += s[c + d];
  if constexpr (d > 1) fold_classes<d / 2>(s);
}

/// The sum of one column of the tile, after store_sums() and a barrier.
__device__ __forceinline__ float sum_of_classes(const TileSums& tile, int column) {
  float s[classes / 2];
#pragma unroll
  for (int c = 0; c < classes / 2; ++c) s[c] = tile[c][column] + tile[c + classes / 2][column];
  fold_classes<classes / 4>(s);
  return s[0];
}

/// Folds the columns j = 0 … count − 1 of a batch element: add(sum, j) in rising order per class, then
/// join(a, b) along the tree. Every warp folds all columns, so no barrier is needed.
/// `unrolled`: columns whose loads may overlap.
template <int unrolled = 8, class AddColumn, class Join>
__device__ __forceinline__ float fold_columns(std::int64_t count, float start, AddColumn add, Join join) {
  float sum = start;
#pragma unroll unrolled
  for (int j = lane_id(); j < count; j += 32) sum = add(sum, j);
  return join_lanes(sum, join);
}

/// Σ_j a_j b_j over the columns of a batch element, in the order of fold_columns(). The products of 16
/// columns per lane are loaded before the first is added.
__device__ __forceinline__ float dot_columns(std::int64_t count, const float* a, const float* b) {
  constexpr int loaded = 16;
  const int columns = static_cast<int>(count);
  float sum = 0;
#pragma unroll 1
  for (int first = 0; first < columns; first += 32 * loaded) {
    const int j = first + lane_id();
    float va[loaded], vb[loaded];
#pragma unroll
    for (int c = 0; c < loaded; ++c) {
      va[c] = vb[c] = 0;
      if (j + 32 * c < columns) va[c] = a[j + 32 * c], vb[c] = b[j + 32 * c];
    }
#pragma unroll
    for (int c = 0; c < loaded; ++c) {
      const float next = multiply_add(va[c], vb[c], sum);
      sum = j + 32 * c < columns ? next : sum;
    }
  }
  return join_lanes(sum, Add{});
}

/// The binary tree over V neighbouring columns.
template <int V>
__device__ __forceinline__ float join_columns(const float (&value)[V]) {
  if constexpr (V == 1) {
    return value[0];
  } else {
    return (value[0] + value[1]) + (value[2] + value[3]);
  }
}

/// Adds `count` values, each over the threads that share a row, by one tree of shuffles: while several values
/// are left, a thread sends half of them and keeps the other half. Returns the sum of value
/// row_sum_of_lane().
template <int V, int count>
__device__ __forceinline__ float share_row_sums(float (&value)[count]) {
  constexpr int lanes = ThreadTile<V>::lanes;
  int left = count;
#pragma unroll
  for (int distance = 1; distance < lanes; distance *= 2) {
    const bool upper = (lane_id() & distance) != 0;
    if (left > 1) {
      left /= 2;
#pragma unroll
      for (int k = 0; k < left; ++k) {
        const float sent = upper ? value[k] : value[k + left];
        value[k] = (upper ? value[k + left] : value[k]) + __shfl_xor_sync(all_lanes, sent, distance);
      }
    } else {
      value[0] += __shfl_xor_sync(all_lanes, value[0], distance);
    }
  }
  return value[0];
}

/// The index of the value whose sum share_row_sums() returns to this thread; −1 if another thread stores it.
template <int V, int count>
__device__ __forceinline__ int row_sum_of_lane() {
  static_assert(count <= ThreadTile<V>::lanes && (count & (count - 1)) == 0);
  const int lane = lane_id() % ThreadTile<V>::lanes;
  int which = 0;
  for (int distance = 1, half = count / 2; half > 0; distance *= 2, half /= 2)
    which += (lane & distance) != 0 ? half : 0;
  return lane < count ? which : -1;
}

}  // namespace plasticity::cuda
