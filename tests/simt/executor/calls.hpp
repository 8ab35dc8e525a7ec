// The calls of the emulated device headers into the executor: the "system calls" of a CUDA thread.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <source_location>

// The indices of the running thread. Not macros: CUDA's own structures have members of these names.
extern constinit thread_local uint3 threadIdx, blockIdx;
extern constinit thread_local dim3 blockDim, gridDim;

namespace simt::device {

using Location = std::source_location;

enum class Scope { block, cluster, grid };

void barrier(Scope scope, Location where);
void barrier_arrive(Location where);  // of the cluster
void barrier_wait(Location where);

enum class Vote { count, all, any };
int barrier_vote(Vote vote, bool predicate, Location where);

/// One lane's part in a warp operation. When all lanes of `mask` that have not exited are there, `finish` is
/// called for each of them with `lanes[k]`, the `in` of lane k (null where it is not active), and fills
/// `out`.
struct WarpCall {
  const char* name;
  unsigned mask;
  void (*finish)(const WarpCall& mine, unsigned lane, const void* const* lanes);
  const void* in = nullptr;
  void* out = nullptr;
  std::size_t bytes = 0;
  int argument = 0;
  int width = 32;
  bool orders_memory = false;  // __syncwarp does, a shuffle does not
};
void warp(WarpCall& call, Location where);

void yield();             // let others run
void scheduling_point();  // an atomic: perhaps let others run
void fence();
[[noreturn]] void trap(const char* what, Location where);

void* dynamic_shared();
void* static_shared(const void* key, std::size_t bytes, std::size_t alignment);
void* map_shared_rank(const void* p, unsigned rank, Location where);

/// cp.async, as __pipeline_memcpy_async: copies bytes - zeros and fills up with zeros, at some time before
/// the wait.
void copy_async(void* shared, const void* global, std::size_t bytes, std::size_t zeros, Location where);
void copy_commit();
void copy_wait(unsigned newest_allowed_pending);

/// Transaction barriers (mbarrier): 8 bytes of shared memory, which the executor uses as a key. A phase ends
/// when `arrivals` threads have arrived and the stores have brought as many bytes as the arrivals announced.
void transactions_init(void* barrier, unsigned arrivals, Location where);
void transactions_arrive(void* barrier, std::uint32_t bytes, Location where);
/// Waits until the phase of that parity has ended. The phases are counted from 0.
void transactions_wait(void* barrier, bool parity, Location where);
/// Stores 4 bytes in the shared memory of a block of the cluster, at some time before the phase of `barrier`,
/// in the same block, ends. Both addresses come from map_shared_rank().
void store_async(void* shared, float value, void* barrier, Location where);

/// Stops the kernel if p is not a multiple of `bytes`, as the GPU does for a vector access.
void check_aligned(const void* p, std::size_t bytes, Location where);

struct Position {
  unsigned lane, thread, threads_in_block, block, blocks_in_grid, block_in_cluster, blocks_in_cluster;
  dim3 cluster_dim;
  bool cooperative;
};
Position position();

}  // namespace simt::device
