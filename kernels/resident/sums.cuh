// Sums in the library's order. A column's sum over rows: 32 classes of rows, i mod 32, each in rising order,
// then a binary tree over the classes: for d in 16, 8, 4, 2, 1: s[c] += s[c + d]. A thread has the classes
// row, row + row_groups, …; the tree's branches join first within a thread, then within a warp, then between
// the warps of a tile.
#pragma once

#include "resident/place.cuh"
#include "step/block.cuh"

namespace plasticity::cuda {

/// The sum of a thread's classes.
template <int count>
__device__ __forceinline__ float join_classes(const float (&s)[count]) {
  static_assert(count == 1 || count == 2);
  if constexpr (count == 1) {
    return s[0];
  } else {
    return s[0] + s[1];
  }
}

/// Adds up the columns' sums `s` over the four row groups of the warp, and stores them in parts[warp of the
/// tile][column of the block].
template <ThreadShape shape>
__device__ __forceinline__ void store_warp_sums(const Place<shape>& at, const float (&s)[Place<shape>::V],
                                                float* parts, int width) {
  const int lane = lane_again();
  const bool upper = (lane & 16) != 0, odd = (lane & 8) != 0;
  if constexpr (Place<shape>::V == 4) {  // each thread ends with one column
    float pair[2];
#pragma unroll
    for (int k = 0; k < 2; ++k)
      pair[k] = (upper ? s[k + 2] : s[k]) + __shfl_xor_sync(all_lanes, upper ? s[k] : s[k + 2], 16);
    const float sum = (odd ? pair[1] : pair[0]) + __shfl_xor_sync(all_lanes, odd ? pair[0] : pair[1], 8);
    parts[at.warp * width + at.local + (upper ? 2 : 0) + (odd ? 1 : 0)] = sum;
  } else {
    float sum = s[0] + __shfl_xor_sync(all_lanes, s[0], 16);
    sum += __shfl_xor_sync(all_lanes, sum, 8);
    if (lane < row_lanes) parts[at.warp * width + at.local] = sum;
  }
}

/// As above, from the sums of the thread's classes.
template <ThreadShape shape>
__device__ __forceinline__ void store_class_sums(
    const Place<shape>& at, const float (&s)[Place<shape>::traits.classes][Place<shape>::V], float* parts,
    int width) {
  constexpr int V = Place<shape>::V, own_classes = Place<shape>::traits.classes;
  float joined[V];
#pragma unroll
  for (int k = 0; k < V; ++k) {
    float own[own_classes];
#pragma unroll
    for (int c = 0; c < own_classes; ++c) own[c] = s[c][k];
    joined[k] = join_classes<own_classes>(own);
  }
  store_warp_sums(at, joined, parts, width);
}

/// The sum of a column over the warps of its tile.
template <ThreadShape shape>
__device__ __forceinline__ float join_warps(const float* parts, int width) {
  constexpr int warps = Place<shape>::warps;
  float s[warps];
#pragma unroll
  for (int warp = 0; warp < warps; ++warp) s[warp] = parts[warp * width];
#pragma unroll
  for (int distance = warps / 2; distance > 0; distance /= 2) {
#pragma unroll
    for (int warp = 0; warp < distance; ++warp) s[warp] += s[warp + distance];
  }
  return s[0];
}

/// A fold over all columns: 32 classes j mod 32, each in rising order by fold(sum, load(j)), then the tree by
/// join(a, b). Every warp that calls it folds all of them, and each thread has the result. Several values are
/// loaded before the first is used.
template <class Load, class Fold, class Join>
__device__ __forceinline__ float fold_columns(int count, float start, Load load, Fold fold, Join join) {
  constexpr int ahead = 8;
  float sum = start;
#pragma unroll 1
  for (int first = lane_again(); first < count; first += 32 * ahead) {
    decltype(load(0)) values[ahead] = {};
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (first + 32 * k < count) values[k] = load(first + 32 * k);
#pragma unroll
    for (int k = 0; k < ahead; ++k)
      if (first + 32 * k < count) sum = fold(sum, values[k]);
  }
  return join_lanes(sum, join);
}

/// Σ_j a_j b_j over all columns, in the order of fold_columns(). Both vectors are in shared memory in the
/// order of `stride` (RowOrder), and zero beyond the last column. Every warp that calls it computes all of
/// it.
template <ThreadShape shape>
__device__ __forceinline__ float dot_columns(const float* a, const float* b, int stride) {
  constexpr int classes = traits_of(shape).classes, groups = traits_of(shape).row_groups();
  const int lane = lane_again(), class_in_group = lane / groups;
  const int place = group_place<shape>(lane % groups, stride);
  float sum = 0;
#pragma unroll 4
  for (int k = 0; k < stride; k += 4) {
    Chunk left, right;
    load_chunk(a + place + k, left);
    load_chunk(b + place + k, right);
    // A row group's values alternate between its classes.
#pragma unroll
    for (int first = 0; first < 4; first += classes) {
      float x = left[first], y = right[first];
#pragma unroll
      for (int other = 1; other < classes; ++other) {
        x = class_in_group == other ? left[first + other] : x;
        y = class_in_group == other ? right[first + other] : y;
      }
      sum = multiply_add(x, y, sum);
    }
  }
  return join_lanes(sum, Add{});
}

}  // namespace plasticity::cuda
