// The executor's include path finds this header before the toolkit's.
#pragma once

#include "simt/device.hpp"

namespace cooperative_groups {

namespace sd = simt::device;

struct thread_block {
  static void sync(SIMT_HERE) { sd::barrier(sd::Scope::block, where); }
  static unsigned thread_rank() { return sd::position().thread; }
  static unsigned num_threads() { return sd::position().threads_in_block; }
  static unsigned size() { return num_threads(); }
  static dim3 thread_index() { return {threadIdx.x, threadIdx.y, threadIdx.z}; }
  static dim3 group_index() { return {blockIdx.x, blockIdx.y, blockIdx.z}; }
  static dim3 dim_threads() { return blockDim; }
};
inline thread_block this_thread_block() { return {}; }

template <unsigned N>
struct thread_block_tile {
  static_assert(N >= 1 && N <= 32 && (N & (N - 1)) == 0);

  static unsigned first_lane() { return sd::position().lane & ~(N - 1); }
  static unsigned mask() { return N == 32 ? 0xffffffffu : ((1u << N % 32) - 1) << first_lane(); }

  static unsigned thread_rank() { return sd::position().lane & (N - 1); }
  static constexpr unsigned num_threads() { return N; }
  static constexpr unsigned size() { return N; }
  static unsigned meta_group_rank() { return sd::position().thread / N; }
  static unsigned meta_group_size() { return (sd::position().threads_in_block + N - 1) / N; }

  void sync(SIMT_HERE) const { __syncwarp(mask(), where); }
  template <class T>
  T shfl(T value, int source, SIMT_HERE) const {
    return __shfl_sync(mask(), value, source, N, where);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, SIMT_HERE) const {
    return __shfl_up_sync(mask(), value, delta, N, where);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, SIMT_HERE) const {
    return __shfl_down_sync(mask(), value, delta, N, where);
  }
  template <class T>
  T shfl_xor(T value, unsigned bits, SIMT_HERE) const {
    return __shfl_xor_sync(mask(), value, int(bits), N, where);
  }
  unsigned ballot(int predicate, SIMT_HERE) const {
    return __ballot_sync(mask(), predicate, where) >> first_lane();
  }
  int any(int predicate, SIMT_HERE) const { return __any_sync(mask(), predicate, where); }
  int all(int predicate, SIMT_HERE) const { return __all_sync(mask(), predicate, where); }
};
template <unsigned N>
thread_block_tile<N> tiled_partition(const thread_block&) {
  return {};
}

struct grid_group {
  static void sync(SIMT_HERE) { sd::barrier(sd::Scope::grid, where); }
  static bool is_valid() { return sd::position().cooperative; }
  static unsigned long long block_rank() { return sd::position().block; }
  static unsigned long long num_blocks() { return sd::position().blocks_in_grid; }
  static unsigned long long thread_rank() {
    const auto at = sd::position();
    return 1ull * at.block * at.threads_in_block + at.thread;
  }
  static unsigned long long num_threads() {
    const auto at = sd::position();
    return 1ull * at.blocks_in_grid * at.threads_in_block;
  }
  static unsigned long long size() { return num_threads(); }
  static dim3 group_dim() { return gridDim; }
};
inline grid_group this_grid() { return {}; }

struct cluster_group {
  struct arrival_token {};

  static void sync(SIMT_HERE) { sd::barrier(sd::Scope::cluster, where); }
  static arrival_token barrier_arrive(SIMT_HERE) {
    sd::barrier_arrive(where);
    return {};
  }
  static void barrier_wait(arrival_token = {}, SIMT_HERE) { sd::barrier_wait(where); }

  static unsigned block_rank() { return sd::position().block_in_cluster; }
  static unsigned num_blocks() { return sd::position().blocks_in_cluster; }
  static dim3 block_index() {
    const dim3 size = dim_blocks();
    return {blockIdx.x % size.x, blockIdx.y % size.y, blockIdx.z % size.z};
  }
  static dim3 dim_blocks() { return sd::position().cluster_dim; }
  static unsigned thread_rank() {
    const auto at = sd::position();
    return at.block_in_cluster * at.threads_in_block + at.thread;
  }
  static unsigned num_threads() {
    const auto at = sd::position();
    return at.blocks_in_cluster * at.threads_in_block;
  }

  /// The same variable in the shared memory of block `rank` of the cluster.
  template <class T>
  static T* map_shared_rank(T* p, int rank, SIMT_HERE) {
    return static_cast<T*>(sd::map_shared_rank(p, unsigned(rank), where));
  }
};
inline cluster_group this_cluster() { return {}; }

template <class Group>
void sync(const Group& group, SIMT_HERE) {
  group.sync(where);
}

}  // namespace cooperative_groups
