// Kernels that are wrong, each in one way. mutate: skip file
#include <cooperative_groups.h>

#include "common/arrival.cuh"
#include "common/launch.hpp"
#include "common/ptx.cuh"
#include "simt/samples/samples.hpp"

namespace samples {
namespace {

namespace cg = cooperative_groups;
using plasticity::launch;
using plasticity::LaunchConfig;

__device__ int global_thread() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }

__global__ void divergent_barrier(int* out) {
  if (threadIdx.x < 16) {
    __syncthreads();
    out[threadIdx.x] = 1;
  } else {
    __syncthreads();
    out[threadIdx.x] = 2;
  }
}

__global__ void exit_before_barrier(int* out) {
  if (threadIdx.x >= 40) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void deadlock(int* out) {
  if (threadIdx.x < 16)
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, static_cast<int>(threadIdx.x), 1);
  else
    __syncthreads();
}

__global__ void not_in_own_mask(int* out) { out[threadIdx.x] = __shfl_sync(0xffffu, 1, 0); }

__global__ void divergent_shuffle(int* out) {
  if (threadIdx.x % 32 < 16)
    out[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  else
    out[threadIdx.x] = __any_sync(0xffffffffu, 1);
}

__global__ void no_barrier(int* out) {
  PLASTICITY_SHARED(int, held, [64]);
  held[threadIdx.x] = global_thread();
  out[global_thread()] = held[63 - threadIdx.x];
}

__global__ void no_syncwarp(int* out) {
  PLASTICITY_SHARED(int, held, [64]);
  held[threadIdx.x] = static_cast<int>(threadIdx.x);
  out[global_thread()] = static_cast<int>(blockIdx.x) * 64 + (held[threadIdx.x ^ 31] ^ 32);
}

// Reverses numbers that a cp.async brings to shared memory, round after round through one buffer.
template <bool Wait, bool Barrier>
__global__ void copies(int* out, int rounds) {
  PLASTICITY_SHARED(int, held, [256]);
  const int thread = static_cast<int>(threadIdx.x);
  int* const mine = out + gridDim.x * 64 + global_thread() * 4;
  bool good = true;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < 4; ++i) mine[i] = thread + round;
    plasticity::cp_async_16(held + thread * 4, mine);
    plasticity::cp_async_commit();
    if constexpr (Wait) plasticity::cp_async_wait<0>();
    __syncthreads();
    good = good && held[(63 - thread) * 4] == 63 - thread + round;
    if constexpr (Barrier) __syncthreads();
  }
  out[global_thread()] = good ? static_cast<int>(blockIdx.x) * 64 + 63 - thread : -1;
}

__global__ void no_grid_sync(int* out) {
  const int n = static_cast<int>(gridDim.x * blockDim.x), i = global_thread();
  out[n + i] = i / 64 * 64 + 63 - i % 64;
  __syncthreads();  // grid.sync() was meant
  const int of_next_block = (i + 64) % n;
  out[of_next_block] = out[n + of_next_block];
}

__global__ void no_cluster_sync(int* out) {
  PLASTICITY_SHARED(int, held, [64]);
  auto cluster = cg::this_cluster();
  held[threadIdx.x] = global_thread();
  const int* theirs = cluster.map_shared_rank(held, static_cast<int>(cluster.block_rank()) ^ 1);
  cluster.sync();
  const int first = (static_cast<int>(blockIdx.x) ^ 1) * 64;
  out[first + static_cast<int>(threadIdx.x)] = theirs[63 - threadIdx.x];  // they may have exited
}

__global__ void no_fence(int* out) {
  int* const flag = out + gridDim.x * 64;
  const int n = static_cast<int>(gridDim.x) * 64;
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    for (int i = 0; i < n; ++i) out[i] = i / 64 * 64 + 63 - i % 64;
    atomicExch(flag, 1);
  } else {
    while (atomicAdd(flag, 0) != 1) __nanosleep(20);
    out[n + blockIdx.x] = out[0];
  }
}

__global__ void spins(int* out) {
  while (atomicAdd(out, 0) != 12345) __nanosleep(100);
}

__global__ void misaligned(int* out) {
  const uint4 v = plasticity::load_16(out + 1);
  out[threadIdx.x] = static_cast<int>(v.x);
}

__global__ void shared_out_of_bounds(int* out) {
  PLASTICITY_DYNAMIC_SHARED(int, held);
  held[threadIdx.x + 1] = 1;
  __syncthreads();
  out[threadIdx.x] = held[threadIdx.x];
}

__global__ void global_out_of_bounds(int* out) { out[global_thread() + 1] = 1; }

__global__ void too_much_static_shared(int* out) {
  PLASTICITY_SHARED(int, first, [8192]);
  PLASTICITY_SHARED(int, second, [8192]);
  first[threadIdx.x] = second[threadIdx.x] = 1;
  out[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

__global__ void grid_sync_not_cooperative(int* out) {
  cg::this_grid().sync();
  out[threadIdx.x] = 1;
}

__global__ void bad_cluster_rank(int* out) {
  PLASTICITY_SHARED(int, held);
  held = 1;
  out[threadIdx.x] = *cg::this_cluster().map_shared_rank(&held, 2);
}

// Reverses the numbers of the other block of a cluster of two, which sends them without a barrier. With one
// buffer the other block may send the next number too soon.
template <bool Wait, int Buffers>
__global__ void transactions(int* out, int rounds) {
  PLASTICITY_SHARED(plasticity::TransactionBarrier, barriers, [2]);
  PLASTICITY_SHARED(float, held, [128]);
  const int thread = static_cast<int>(threadIdx.x), block = static_cast<int>(blockIdx.x), other = block ^ 1;
  if (thread < 2) {
    plasticity::init_transactions(barriers + thread, 2);
    plasticity::publish_transactions();
  }
  held[thread] = held[thread + 64] = -1;
  cg::this_cluster().sync();
  bool good = true;
  for (int round = 0; round < rounds; ++round) {
    plasticity::TransactionBarrier* barrier = barriers + round % 2;
    float* buffer = held + round % Buffers * 64;
    plasticity::store_peer_async(buffer + 63 - thread, other % 2,
                                 static_cast<float>(block * 64 + thread + round), barrier);
    __syncwarp();
    if (thread % 32 == 0) plasticity::arrive_transactions(barrier, 128);
    if constexpr (Wait) plasticity::wait_transactions(barrier, round / 2 % 2);
    good = good && buffer[thread] == static_cast<float>(other * 64 + 63 - thread + round);
  }
  if constexpr (!Wait) cg::this_cluster().sync();
  out[global_thread()] = good ? block * 64 + 63 - thread : -1;
}

__global__ void transactions_not_initialised(int* out) {
  PLASTICITY_SHARED(plasticity::TransactionBarrier, barrier);
  plasticity::arrive_transactions(&barrier, 0);
  out[threadIdx.x] = 1;
}

// `arrivals`: that the barrier expects; `announced`: bytes per arrival, of which none come.
__global__ void incomplete_transactions(int* out, int arrivals, int announced, bool waits) {
  PLASTICITY_SHARED(plasticity::TransactionBarrier, barrier);
  if (threadIdx.x == 0) plasticity::init_transactions(&barrier, arrivals);
  __syncthreads();
  if (threadIdx.x % 32 == 0) plasticity::arrive_transactions(&barrier, announced);
  if (waits) plasticity::wait_transactions(&barrier, 0);
  out[threadIdx.x] = 1;
}

__global__ void trap(int* out) {
  if (out != nullptr) __trap();
}

}  // namespace

void misuse(Misuse which, int* out, int n, cudaStream_t stream) {
  const LaunchConfig one_block{.block = 64, .stream = stream};
  const LaunchConfig blocks{.grid = unsigned(n) / 64, .block = 64, .stream = stream};
  const LaunchConfig cooperative{
      .grid = unsigned(n) / 64, .block = 64, .stream = stream, .cooperative = true};
  const LaunchConfig clusters{.grid = unsigned(n) / 64, .block = 64, .stream = stream, .cluster = 2};
  switch (which) {
    case Misuse::divergent_barrier: return launch(divergent_barrier, one_block, out);
    case Misuse::exit_before_barrier: return launch(exit_before_barrier, one_block, out);
    case Misuse::deadlock: return launch(deadlock, one_block, out);
    case Misuse::not_in_own_mask: return launch(not_in_own_mask, one_block, out);
    case Misuse::divergent_shuffle: return launch(divergent_shuffle, one_block, out);
    case Misuse::no_barrier: return launch(no_barrier, blocks, out);
    case Misuse::no_syncwarp: return launch(no_syncwarp, blocks, out);
    case Misuse::no_copy_wait: return launch(copies<false, true>, blocks, out, 4);
    case Misuse::no_reuse_barrier: return launch(copies<true, false>, blocks, out, 4);
    case Misuse::no_grid_sync: return launch(no_grid_sync, cooperative, out);
    case Misuse::no_cluster_sync: return launch(no_cluster_sync, clusters, out);
    case Misuse::no_fence: return launch(no_fence, cooperative, out);
    case Misuse::spins: return launch(spins, one_block, out);
    case Misuse::misaligned: return launch(misaligned, one_block, out);
    case Misuse::shared_out_of_bounds:
      return launch(shared_out_of_bounds, {.block = 64, .shared_bytes = 64 * sizeof(int), .stream = stream},
                    out);
    case Misuse::global_out_of_bounds: return launch(global_out_of_bounds, blocks, out);
    case Misuse::too_much_static_shared: return launch(too_much_static_shared, one_block, out);
    case Misuse::grid_sync_not_cooperative: return launch(grid_sync_not_cooperative, one_block, out);
    case Misuse::bad_cluster_rank: return launch(bad_cluster_rank, clusters, out);
    case Misuse::no_transactions_wait: return launch(transactions<false, 2>, clusters, out, 4);
    case Misuse::one_transactions_buffer: return launch(transactions<true, 1>, clusters, out, 8);
    case Misuse::transactions_not_initialised: return launch(transactions_not_initialised, one_block, out);
    case Misuse::too_many_arrivals: return launch(incomplete_transactions, one_block, out, 1, 4, false);
    case Misuse::missing_transactions: return launch(incomplete_transactions, one_block, out, 2, 4, true);
    case Misuse::exit_before_transactions:
      return launch(incomplete_transactions, one_block, out, 2, 4, false);
    case Misuse::trap: return launch(trap, one_block, out);
  }
}

}  // namespace samples
