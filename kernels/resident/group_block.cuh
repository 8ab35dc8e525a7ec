// A block of the group that works on an element: its columns, the exchange with the other blocks, the
// barrier. Every sum has one fixed order, the same for every batch.
#pragma once

#include "common/group.cuh"
#include "resident/launch.hpp"
#include "step/cell.cuh"
#include "step/traces.cuh"

namespace plasticity::cuda {

struct GroupBlock {
  GroupKind kind;
  int size, rank;
  std::int64_t group, first;  // first: of the block's columns
  int columns;                // the number of them that exist, perhaps 0
  int width;                  // columns per row of the slices: C
  // The thread's own column, of every row_groups-th row.
  int lanes, tiles, tile, row_group, row_groups, own;
  bool inside;  // whether the column exists
  bool owner;   // one thread per column finishes its sums
  std::int64_t column;

  __device__ GroupBlock(const StepParams& p, const OldGroupShape& shape)
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

  /// A barrier for all threads of all blocks of the group.
  __device__ void sync() const {
    switch (kind) {
      case GroupKind::cta: __syncthreads(); break;
      case GroupKind::cluster: sync_cluster(); break;
      case GroupKind::grid: sync_grid(); break;
    }
  }

  /// Sends a value to block `to`: into its shared memory, or into the group's global memory. After sync() the
  /// receiver reads it in shared memory, or by receive().
  __device__ void send(int to, float* shared, float* global, float value) const {
    switch (kind) {
      case GroupKind::cta: *shared = value; break;
      case GroupKind::cluster: *of_peer(shared, to) = value; break;
      case GroupKind::grid: store_exchange(global, value); break;
    }
  }
  __device__ void broadcast(float* shared, float* global, float value) const {
    const int copies = kind == GroupKind::cluster ? size : 1;
    for (int to = 0; to < copies; ++to) send(to, shared, global, value);
  }

  /// Copies `count` broadcast values into shared memory, after sync(). In a block or cluster they are there
  /// already. All threads call it.
  __device__ void receive(float* shared, const float* global, std::int64_t count) const {
    if (kind != GroupKind::grid) return;
    for (std::int64_t k = threadIdx.x; k < count; k += blockDim.x) shared[k] = load_exchange(global + k);
    __syncthreads();
  }
};

/// Folds value(j), j = 0 … count − 1. Every warp folds all of them and returns the result to
/// its threads, so no barrier is needed.
template <class Value, class Fold>
__device__ float warp_fold(std::int64_t count, Value value, Fold fold, float start) {
  float sum = start;
  for (std::int64_t j = lane_id(); j < count; j += 32) sum = fold(sum, value(j));
  for (int distance = 16; distance > 0; distance /= 2) {
    sum = fold(sum, __shfl_xor_sync(0xffffffffu, sum, distance));
  }
  return sum;
}

/// The sum over the block's row groups. Each thread has stored its part in `parts` [R,C], before a
/// __syncthreads().
__device__ inline float row_group_sum(const float* parts, const GroupBlock& block) {
  float sum = parts[block.own];
  for (int group = 1; group < block.row_groups; ++group) sum += parts[group * block.width + block.own];
  return sum;
}

/// One column of a matrix [P,N], in shared or global memory.
struct MatrixColumn {
  const float* first;
  std::int64_t stride;
  __device__ float operator[](std::int64_t i) const { return first[i * stride]; }
};

/// The thread's column of w and alpha. The constructor copies the matrices into shared memory if the shape
/// requires it; a barrier must follow.
struct Weights {
  MatrixColumn w, alpha;

  __device__ Weights(const StepParams& p, const OldGroupShape& shape, const GroupBlock& block,
                     float* shared_w, float* shared_alpha) {
    const auto load = [&](const float* matrix, bool on_chip, float* shared) {
      if (!on_chip) return MatrixColumn{matrix + block.column, p.N};
      for (std::int64_t i = block.row_group; block.inside && i < p.P; i += block.row_groups)
        shared[i * block.width + block.own] = matrix[i * p.N + block.column];
      return MatrixColumn{shared + block.own, block.width};
    };
    w = load(p.w, shape.w_on_chip, shared_w);
    if (p.alpha_row != 0) {
      alpha = load(p.alpha, shape.alpha_on_chip, shared_alpha);
    } else {
      alpha = {p.alpha + (block.inside ? block.column * p.alpha_column : 0), 0};
    }
  }
};

}  // namespace plasticity::cuda
