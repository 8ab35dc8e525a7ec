// The exchange between the blocks of a group. A step has one barrier of the group: values sent before it are
// received after it.
#pragma once

#include "common/group.cuh"
#include "common/ptx.cuh"
#include "resident/place.cuh"

namespace plasticity::cuda {

struct Exchange {
  GroupKind kind;
  int size, rank;
  float* shared;        // of this block
  float* all_groups;    // of a grid, in global memory
  std::int64_t stride;  // from one group to the next
  int group;

  /// The exchange of this block. `stride`: floats of global memory per group of a grid.
  __device__ static Exchange of(const GroupShape& shape, float* shared, float* all_groups,
                                std::int64_t stride) {
    const auto blocks = static_cast<unsigned>(shape.blocks);
    return {.kind = shape.kind,
            .size = shape.blocks,
            .rank = static_cast<int>(blockIdx.x % blocks),
            .shared = shared,
            .all_groups = all_groups,
            .stride = stride,
            .group = static_cast<int>(blockIdx.x / blocks)};
  }

  /// The group's part of global memory. (Computed at each use: it would take two registers.)
  __device__ float* global() const { return all_groups + group * stride; }

  /// Sends a value to all blocks of the group: to `place` of their shared memory, or to `slot` of the group's
  /// global memory.
  __device__ void broadcast(int place, int slot, float value) const {
    switch (kind) {
      case GroupKind::cta: shared[place] = value; break;
      case GroupKind::cluster:
        for (int to = 0; to < size; ++to) store_peer(shared + place, to, value);
        break;
      case GroupKind::grid: store_exchange(global() + slot, value); break;
    }
  }

  /// The two halves of the barrier. The values that a thread stores between them are for later steps.
  /// The barrier does not wait for them.
  __device__ void arrive() const {
    if (kind == GroupKind::cluster) arrive_cluster();
  }
  __device__ void wait() const {
    switch (kind) {
      case GroupKind::cta: __syncthreads(); break;
      case GroupKind::cluster: wait_cluster(); break;
      case GroupKind::grid: sync_grid(); break;
    }
  }
  __device__ void sync() const {
    arrive();
    wait();
  }

  /// Copies `count` broadcast values from the slot into shared memory, after wait(). In a block or cluster
  /// they are there already. `place(k)`: the place of value k. All threads call it.
  template <class PlaceOf>
  __device__ void receive(int slot, int count, PlaceOf place) const {
    if (kind != GroupKind::grid) return;
    for (int k = static_cast<int>(threadIdx.x); k < count; k += static_cast<int>(blockDim.x))
      shared[place(k)] = load_exchange(global() + slot + k);
    __syncthreads();
  }
};

}  // namespace plasticity::cuda
