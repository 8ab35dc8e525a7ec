// The exchange between the blocks of a group. Values that a block sends before an exchange are received after
// it. Either the exchange is a barrier of the group, or a block waits for its own values alone (Arrival). An
// exchange has two halves, arrive() and wait(). The values that a thread stores between them are for later
// steps.
#pragma once

#include "common/alternatives.hpp"
#include "common/arrival.cuh"
#include "common/group.cuh"
#include "common/ptx.cuh"
#include "resident/place.cuh"

namespace plasticity::cuda {

struct Exchange {
  GroupKind kind;
  Arrival arrival;
  int size, rank;
  float* shared;        // of this block
  float* all_groups;    // of a grid, in global memory
  std::int64_t stride;  // from one group to the next
  int group;
  TransactionBarrier* transactions;  // [2] of this block, in a cluster with Arrival::counted
  unsigned count = 0;                // exchanges of this launch that the block has arrived at

  /// The exchange of this block. `stride`: floats of global memory per group of a grid. `transactions`: their
  /// offset in shared memory.
  __device__ static Exchange of(const GroupShape& shape, float* shared, float* all_groups,
                                std::int64_t stride, int transactions) {
    const auto blocks = static_cast<unsigned>(shape.blocks);
    return {.kind = shape.kind,
            .arrival = shape.arrival,
            .size = shape.blocks,
            .rank = static_cast<int>(blockIdx.x % blocks),
            .shared = shared,
            .all_groups = all_groups,
            .stride = stride,
            .group = static_cast<int>(blockIdx.x / blocks),
            .transactions = reinterpret_cast<TransactionBarrier*>(shared + transactions)};
  }

  /// Whether a block waits for its own values, without a barrier of the group.
  __device__ bool counts() const { return has_alternatives && arrival == Arrival::counted; }

  /// The group's part of global memory. (Computed at each use: it would take two registers.)
  __device__ float* global() const { return all_groups + group * stride; }
  __device__ TaggedValue* tagged() const { return reinterpret_cast<TaggedValue*>(global()); }

  /// Prepares a launch. sync() must follow.
  __device__ void prepare() const {
    if (!counts()) return;
    const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
    if (kind == GroupKind::cluster && thread == 0) {
      for (int k = 0; k < 2; ++k) init_transactions(transactions + k, threads / 32);
      publish_transactions();
    }
    if (kind == GroupKind::grid) {  // no tag of an earlier launch may remain
      for (std::int64_t k = rank * threads + thread; k < stride; k += size * threads)
        store_exchange(global() + k, 0);
    }
  }

  /// A barrier of all threads of the group.
  __device__ void sync() const {
    switch (kind) {
      case GroupKind::cta: __syncthreads(); break;
      case GroupKind::cluster: sync_cluster(); break;
      case GroupKind::grid: sync_grid(); break;
    }
  }

  /// Sends a value to block `to` of a cluster.
  __device__ void send_to_peer(int place, int to, float value) const {
    if (counts()) {
      store_peer_async(shared + place, to, value, transactions + (count & 1));
    } else {
      store_peer(shared + place, to, value);
    }
  }

  /// Sends a value to `slot` of the global memory of a grid's group.
  __device__ void send_to_slot(int slot, float value) const {
    if (counts()) {
      store_tagged(tagged() + slot, value, count + 1);
    } else {
      store_exchange(global() + slot, value);
    }
  }

  /// The value in a slot, which was sent before the last exchange.
  __device__ float receive_from_slot(int slot) const {
    return counts() ? wait_tagged(tagged() + slot, count) : load_exchange(global() + slot);
  }

  /// Sends a value to all blocks of the group: to `place` of their shared memory, or to `slot` of the group's
  /// global memory.
  __device__ void broadcast(int place, int slot, float value) const {
    switch (kind) {
      case GroupKind::cta: shared[place] = value; break;
      case GroupKind::cluster:
        for (int to = 0; to < size; ++to) send_to_peer(place, to, value);
        break;
      case GroupKind::grid: send_to_slot(slot, value); break;
    }
  }

  /// The first half of an exchange. `values`: those that the blocks of a cluster send to this block before
  /// it.
  __device__ void arrive(int values) {
    if (counts()) {
      if (kind == GroupKind::cluster) {
        __syncwarp();  // mutate: skip, the executor changes lanes at calls that synchronise only
        if (lane_id() == 0)
          arrive_transactions(transactions + (count & 1),
                              warp_id() == 0 ? values * static_cast<int>(sizeof(float)) : 0);
      }
      ++count;
    } else if (kind == GroupKind::cluster) {
      arrive_cluster();
    }
  }

  /// The second half. All threads of the block are past arrive() then.
  __device__ void wait() const {
    if (kind == GroupKind::cta || (kind == GroupKind::grid && counts())) {
      __syncthreads();
    } else if (kind == GroupKind::grid) {
      sync_grid();
    } else if (counts()) {
      const unsigned exchange = count - 1;
      wait_transactions(transactions + (exchange & 1), static_cast<int>(exchange >> 1 & 1));
    } else {
      wait_cluster();
    }
  }

  /// Copies `values` broadcast values from the slot into shared memory, after wait(). In a block or cluster
  /// they are there already. `place(k)`: the place of value k. All threads call it.
  template <class PlaceOf>
  __device__ void receive(int slot, int values, PlaceOf place) const {
    if (kind != GroupKind::grid) return;
    for (int k = static_cast<int>(threadIdx.x); k < values; k += static_cast<int>(blockDim.x))
      shared[place(k)] = receive_from_slot(slot + k);
    __syncthreads();
  }
};

}  // namespace plasticity::cuda
