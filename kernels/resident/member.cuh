// A block's part in the group that serves an element: which columns are its own, what it tells the others,
// where they meet. All sums have one fixed order, the same for every batch.
#pragma once

#include "common/group.cuh"
#include "common/ptx.cuh"
#include "resident/params.hpp"
#include "step/cell.cuh"

namespace plasticity::cuda {

struct Member {
  GroupKind kind;
  int size, rank;
  std::int64_t group, first;  // first: of the block's columns
  int columns;                // of them that exist, perhaps 0
  int width;                  // of a row of the slices: C
  // The thread's own column, of every row_groups-th row.
  int lanes, tiles, tile, row_group, row_groups, own;
  bool inside, owner;  // whether the column exists; one thread a column finishes its sums
  std::int64_t column;

  __device__ Member(const Problem& p, const GroupShape& shape)
      : kind(shape.kind),
        size(shape.blocks),
        rank(static_cast<int>(blockIdx.x % static_cast<unsigned>(shape.blocks))),
        group(blockIdx.x / static_cast<unsigned>(shape.blocks)),
        first(std::int64_t{rank} * shape.columns),
        width(shape.columns),
        lanes(shape.lanes),
        tiles(shape.tiles),
        tile(warp_id() % shape.tiles),
        row_group(warp_id() / shape.tiles * (32 / shape.lanes) + lane_id() / shape.lanes),
        row_groups(shape.row_groups()),
        own(tile * shape.lanes + lane_id() % shape.lanes) {
    const std::int64_t left = p.N - first;
    columns = static_cast<int>(left < 0 ? 0 : (left < width ? left : width));
    inside = own < columns;
    owner = inside && row_group == 0;
    column = first + own;
  }

  /// The one barrier of a step that all blocks of the group pass.
  __device__ void meet() const {
    switch (kind) {
      case GroupKind::cta: __syncthreads(); break;
      case GroupKind::cluster: sync_cluster(); break;
      case GroupKind::grid: sync_grid(); break;
    }
  }

  /// Tells block `to` a value: into its shared memory, or into the group's global memory. Seen after meet(),
  /// in shared memory or by pull().
  __device__ void tell(int to, float* shared, float* global, float value) const {
    switch (kind) {
      case GroupKind::cta: *shared = value; break;
      case GroupKind::cluster: *of_peer(shared, to) = value; break;
      case GroupKind::grid: store_exchange(global, value); break;
    }
  }
  __device__ void tell_all(float* shared, float* global, float value) const {
    const int copies = kind == GroupKind::cluster ? size : 1;
    for (int to = 0; to < copies; ++to) tell(to, shared, global, value);
  }

  /// After meet(): what was told to all of a grid's blocks comes into shared memory; there it is already,
  /// elsewhere. All threads call it.
  __device__ void pull(float* shared, const float* global, std::int64_t count) const {
    if (kind != GroupKind::grid) return;
    for (std::int64_t k = threadIdx.x; k < count; k += blockDim.x) shared[k] = load_exchange(global + k);
    __syncthreads();
  }
};

/// value(j) of j = 0 … count − 1 folded, by every warp for itself and for all of its threads: no barrier.
template <class Value, class Fold>
__device__ float warp_total(std::int64_t count, Value value, Fold fold, float start) {
  float sum = start;
  for (std::int64_t j = lane_id(); j < count; j += 32) sum = fold(sum, value(j));
  for (int distance = 16; distance > 0; distance /= 2) {
    sum = fold(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
  }
  return sum;
}

/// The sums over the block's row groups: `parts` [R,C] of each thread's rows go in before a __syncthreads().
__device__ inline float group_total(const float* parts, const Member& at) {
  float sum = parts[at.own];
  for (int group = 1; group < at.row_groups; ++group) sum += parts[group * at.width + at.own];
  return sum;
}

/// One column of a matrix [P,N], in shared memory or beyond it.
struct MatrixColumn {
  const float* first;
  std::int64_t stride;
  __device__ float operator[](std::int64_t i) const { return first[i * stride]; }
};

/// The block's columns of w and α come on chip, where the shape says so. Before a barrier.
struct Weights {
  MatrixColumn w, alpha;

  __device__ Weights(const Problem& p, const GroupShape& shape, const Member& at, float* w_here,
                     float* alpha_here) {
    const auto place = [&](const float* matrix, bool on_chip, float* here) {
      if (!on_chip) return MatrixColumn{matrix + at.column, p.N};
      for (std::int64_t i = at.row_group; at.inside && i < p.P; i += at.row_groups)
        here[i * at.width + at.own] = matrix[i * p.N + at.column];
      return MatrixColumn{here + at.own, at.width};
    };
    w = place(p.w, shape.w_on_chip, w_here);
    if (p.alpha_row != 0) {
      alpha = place(p.alpha, shape.alpha_on_chip, alpha_here);
    } else {
      alpha = {p.alpha + (at.inside ? at.column * p.alpha_column : 0), 0};
    }
  }
};

}  // namespace plasticity::cuda
