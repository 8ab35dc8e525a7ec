// The kernels of samples.hpp, and their launches.
#include "simt/samples/samples.cuh"

#include <cuda_pipeline_primitives.h>

#include "common/arrival.cuh"

namespace samples {

using plasticity::launch;

namespace {

// A step of h = tanh(w h) per grid barrier, and a tile of 32 threads per row.
__global__ void persistent_rnn_kernel(const float* w, float* h, int N, int T) {
  const cg::grid_group grid = cg::this_grid();
  const auto tile = cg::tiled_partition<32>(cg::this_thread_block());
  const int warps = static_cast<int>(blockDim.x) / 32, lane = static_cast<int>(tile.thread_rank());
  const int first_row = static_cast<int>(blockIdx.x) * warps + static_cast<int>(threadIdx.x) / 32;
  for (int t = 0; t < T; ++t) {
    const float* from = h + t % 2 * N;
    float* to = h + (t + 1) % 2 * N;
    for (int i = first_row; i < N; i += static_cast<int>(gridDim.x) * warps) {
      float sum = 0;
      for (int j = lane; j < N; j += 32) sum = fmaf(w[i * N + j], from[j], sum);
      for (unsigned delta = 16; delta; delta /= 2) sum += tile.shfl_down(sum, delta);
      if (lane == 0) to[i] = tanhf(sum);
    }
    grid.sync();
  }
}

// Each block sums its share; the first of the cluster adds them through distributed shared memory.
__global__ void cluster_sum_kernel(const float* x, float* out, int per_block) {
  PLASTICITY_DYNAMIC_SHARED(float, part);  // [warps]
  PLASTICITY_SHARED(float, total);
  auto cluster = cg::this_cluster();
  const int block = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  float sum = 0;
  for (int i = thread; i < per_block; i += static_cast<int>(blockDim.x)) sum += x[block * per_block + i];
  sum = warp_sum(sum);
  if (thread % 32 == 0) part[thread / 32] = sum;
  __syncthreads();
  if (thread == 0) {
    total = 0;
    for (unsigned warp = 0; warp < blockDim.x / 32; ++warp) total += part[warp];
  }
  cluster.sync();
  if (cluster.block_rank() == 0 && thread == 0) {
    float all = 0;
    for (unsigned rank = 0; rank < cluster.num_blocks(); ++rank)
      all += *cluster.map_shared_rank(&total, static_cast<int>(rank));
    out[blockIdx.x / cluster.num_blocks()] = all;
  }
  cluster.sync();  // no block exits while its total may still be read
}

__global__ void last_block_sum_kernel(const float* x, float* part, unsigned* ticket, float* out, int n) {
  PLASTICITY_SHARED(bool, last);
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  float sum = 0;
  for (int i = static_cast<int>(blockIdx.x) * threads + thread; i < n;
       i += static_cast<int>(gridDim.x) * threads)
    sum += x[i];
  sum = warp_sum(sum);
  if (thread == 0) {
    part[blockIdx.x] = sum;
    __threadfence();
    last = atomicAdd(ticket, 1u) == gridDim.x - 1;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  float all = 0;
  for (int block = thread; block < static_cast<int>(gridDim.x); block += threads) all += part[block];
  all = warp_sum(all);
  if (thread == 0) *out = all;
}

__global__ void warp_exchange_kernel(const int* in, int* out) {
  PLASTICITY_SHARED(int, held, [1024]);
  held[threadIdx.x] = in[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = held[threadIdx.x ^ 5];
}

__global__ void flag_kernel(unsigned* flag, int* out) {
  if (threadIdx.x != 0) return;
  if (blockIdx.x == 0) {
    out[0] = 42;
    __threadfence();
    atomicExch(flag, 1u);
  } else {
    while (atomicAdd(flag, 0u) == 0) __nanosleep(20);
    __threadfence();
    out[1] = out[0];
  }
}

__global__ void round_to_bf16_kernel(const float* x, __nv_bfloat16* out, int n) {
  using plasticity::Pack;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 8;
  if (i >= n) return;
  const Pack<float> low = plasticity::load_pack_once(x + i), high = plasticity::load_pack(x + i + 4);
  Pack<__nv_bfloat16> rounded;
  for (int k = 0; k < 4; ++k) {
    rounded[k] = from_float<__nv_bfloat16>(low[k]);
    rounded[k + 4] = from_float<__nv_bfloat16>(high[k]);
  }
  plasticity::store_pack_streaming(out + i, rounded);
}

__global__ void warp_operations_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned all = 0xffffffffu, below_12 = 0xfffu;
  int* mine = out + threadIdx.x * 8;
  mine[0] = __shfl_sync(all, lane * 10, lane + 1, 8);
  mine[1] = __shfl_up_sync(all, lane, 3u, 16);
  mine[2] = __shfl_down_sync(all, lane, 3u);
  mine[3] = static_cast<int>(__ballot_sync(all, lane % 3 == 0));
  mine[4] = __any_sync(all, lane == 7) + 2 * __all_sync(all, lane < 31) + 4 * __all_sync(all, lane < 32);
  mine[5] = static_cast<int>(__match_any_sync(all, lane / 5));
  mine[6] = __reduce_add_sync(all, lane) + 1000 * __reduce_max_sync(all, lane - 40) -
            __reduce_min_sync(all, lane - 40);
  mine[7] = lane < 12 ? static_cast<int>(__reduce_min_sync(below_12, static_cast<unsigned>(lane) + 5u)) : -1;
}

__global__ void block_votes_kernel(int* out, int limit) {
  const bool below = static_cast<int>(threadIdx.x) < limit;
  int* mine = out + threadIdx.x * 3;
  mine[0] = __syncthreads_count(below);
  mine[1] = __syncthreads_and(below);
  mine[2] = __syncthreads_or(below);
}

__global__ void tile_operations_kernel(int* out) {
  const auto block = cg::this_thread_block();
  const auto tile = cg::tiled_partition<8>(block);
  const int rank = static_cast<int>(tile.thread_rank());
  int* mine = out + block.thread_rank() * 6;
  mine[0] = static_cast<int>(tile.ballot(rank % 2));
  mine[1] = static_cast<int>(tile.meta_group_rank());
  mine[2] = tile.shfl(rank * 100, 3);
  mine[3] = tile.shfl_xor(rank, 1u) + 10 * tile.shfl_up(rank, 2u);
  mine[4] = tile.any(rank == 7) + 2 * tile.all(rank < 7);
  tile.sync();  // mutate: skip, nothing depends on it
  mine[5] = static_cast<int>(block.num_threads() + tile.num_threads() + tile.meta_group_size());
  block.sync();  // mutate: skip, nothing depends on it
}

__global__ void atomics_kernel(int* out) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(out, 1);
  atomicMax(out + 1, i);
  atomicMin(out + 2, i);
  atomicOr(out + 3, 1 << i % 16);
  int seen = atomicAdd(out + 4, 0), expected;
  do {
    expected = seen;
    seen = atomicCAS(out + 4, expected, expected + 2);
  } while (seen != expected);
  atomicSub(out + 5, 1);
  atomicAnd(out + 6, ~(1 << i % 16));
  atomicXor(out + 7, 1);
  atomicAdd(reinterpret_cast<float*>(out + 8), 0.5f);
}

__global__ void first_sight_kernel(float* out, int* dims) {
  PLASTICITY_SHARED(float, fixed, [2][3]);
  PLASTICITY_DYNAMIC_SHARED(float, dynamic);
  if (threadIdx.x + threadIdx.y + threadIdx.z != 0) return;
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[2 * block] = fixed[1][2];
  out[2 * block + 1] = dynamic[0];
  fixed[1][2] = dynamic[0] = 1;  // must not show in the next block
  dims[block] = static_cast<int>(blockDim.x + 10 * blockDim.y + 100 * blockDim.z + 1000 * gridDim.x +
                                 10000 * gridDim.y);
}

__global__ void pipeline_kernel(const int* in, int* out) {
  PLASTICITY_SHARED(int4, held, [3]);
  int* words = &held[0].x;
  __pipeline_memcpy_async(words, in, 4);
  __pipeline_commit();
  __pipeline_memcpy_async(words + 4, in + 4, 8);
  __pipeline_memcpy_async(words + 8, in + 8, 16, 8);
  __pipeline_commit();
  __pipeline_wait_prior(1);
  out[0] = words[0];
  __pipeline_wait_prior(0);
  for (int i = 4; i < 12; ++i) out[i] = words[i];
}

__global__ void write_last_kernel(float* y, long long n, int per_block) {
  const long long first = static_cast<long long>(blockIdx.x) * per_block;
  for (long long i = first + threadIdx.x; i < first + per_block && i < n; i += blockDim.x)
    y[i] = static_cast<float>(blockIdx.x % 1000);
}

__global__ void cluster_neighbours_kernel(int* out) {
  PLASTICITY_DYNAMIC_SHARED(int, mine);
  auto cluster = cg::this_cluster();
  const int rank = static_cast<int>(cluster.block_rank()), count = static_cast<int>(cluster.num_blocks());
  mine[threadIdx.x] = static_cast<int>(blockIdx.x * 100 + threadIdx.x);
  auto token = cluster.barrier_arrive();
  const int index = static_cast<int>(cluster.block_index().x + 10 * cluster.dim_blocks().x);
  cluster.barrier_wait(std::move(token));
  const int* left = cluster.map_shared_rank(mine, (rank + count - 1) % count);
  if (threadIdx.x == 0) {
    out[blockIdx.x * 4] = rank;
    out[blockIdx.x * 4 + 1] = index;
    out[blockIdx.x * 4 + 2] = left[blockDim.x - 1];
    out[blockIdx.x * 4 + 3] = static_cast<int>(cluster.num_threads());
  }
  cluster.sync();
}

__global__ void transactions_kernel(float* out, int steps) {
  PLASTICITY_SHARED(plasticity::TransactionBarrier, barriers, [2]);
  PLASTICITY_SHARED(float, received, [32]);
  auto cluster = cg::this_cluster();
  const int rank = static_cast<int>(cluster.block_rank()), count = static_cast<int>(cluster.num_blocks());
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) {
    for (int k = 0; k < 2; ++k)
      plasticity::init_transactions(barriers + k, static_cast<int>(blockDim.x / 32));
    plasticity::publish_transactions();
  }
  cluster.sync();
  float sum = 0;
  for (int step = 0; step < steps; ++step) {
    const int slot = step % 2;
    __syncthreads();  // this block has read the values of the last step, so others may send the next but one
    if (thread < count)
      plasticity::store_peer_async(received + 16 * slot + rank, thread,
                                   static_cast<float>((rank + 1) * (step + 1)), barriers + slot);
    __syncwarp();
    if (thread % 32 == 0) plasticity::arrive_transactions(barriers + slot, thread == 0 ? 4 * count : 0);
    plasticity::wait_transactions(barriers + slot, step / 2 % 2);
    for (int from = 0; from < count; ++from) sum += received[16 * slot + from];
  }
  if (thread == static_cast<int>(blockDim.x) - 1) out[blockIdx.x] = sum;
}

__global__ void tagged_values_kernel(float* out, plasticity::TaggedValue* exchange, int steps) {
  const int blocks = static_cast<int>(gridDim.x), rank = static_cast<int>(blockIdx.x);
  float sum = 0;
  for (int step = 0; step < steps; ++step) {
    plasticity::TaggedValue* slot = exchange + step % 2 * blocks;
    const auto tag = static_cast<unsigned>(step + 1);
    __syncthreads();
    if (threadIdx.x == 0)
      plasticity::store_tagged(slot + rank, static_cast<float>((rank + 1) * (step + 1)), tag);
    for (int from = 0; from < blocks; ++from) sum += plasticity::wait_tagged(slot + from, tag);
  }
  if (threadIdx.x == blockDim.x - 1) out[rank] = sum;
}

}  // namespace

void block_sums(const float* x, float* part, int n, int blocks, cudaStream_t stream) {
  launch(block_sum_kernel<128>, {.grid = dim3(unsigned(blocks)), .block = 128, .stream = stream}, x, part, n);
}

template <class T>
void trace_step(const TraceStep<T>& step, int tile, cudaStream_t stream) {
  constexpr int threads = 64, rows = threads / 32;
  launch(trace_step_kernel<T>,
         {.grid = dim3(unsigned((step.N + rows - 1) / rows), unsigned(step.B)),
          .block = threads,
          .shared_bytes = 2 * sizeof(float) * unsigned(tile),
          .stream = stream},
         step, tile);
}
template void trace_step(const TraceStep<float>&, int, cudaStream_t);
template void trace_step(const TraceStep<__nv_bfloat16>&, int, cudaStream_t);

void trace_adjoint(const TraceAdjoint& adjoint, cudaStream_t stream) {
  constexpr int warps = 3;
  launch(trace_adjoint_kernel<warps>,
         {.block = 32 * warps, .shared_bytes = warps * sizeof(float) * unsigned(adjoint.N), .stream = stream},
         adjoint);
}

void persistent_rnn(const float* w, float* h, int N, int T, int blocks, cudaStream_t stream) {
  launch(persistent_rnn_kernel,
         {.grid = unsigned(blocks), .block = 64, .stream = stream, .cooperative = true}, w, h, N, T);
}

void cluster_sums(const float* x, float* out, int per_block, int blocks, int cluster, cudaStream_t stream) {
  launch(cluster_sum_kernel,
         {.grid = unsigned(blocks),
          .block = 64,
          .shared_bytes = 2 * sizeof(float),
          .stream = stream,
          .cluster = unsigned(cluster)},
         x, out, per_block);
}

void last_block_sum(const float* x, float* part, unsigned* ticket, float* out, int n, int blocks,
                    cudaStream_t stream) {
  launch(last_block_sum_kernel, {.grid = unsigned(blocks), .block = 32, .stream = stream}, x, part, ticket,
         out, n);
}

void warp_exchange(const int* in, int* out, int n) {
  launch(warp_exchange_kernel, {.block = unsigned(n)}, in, out);
}

void flag_between_blocks(unsigned* flag, int* out) {
  launch(flag_kernel, {.grid = 2, .block = 32, .cooperative = true}, flag, out);
}

void round_to_bf16(const float* x, __nv_bfloat16* out, int n) {
  launch(round_to_bf16_kernel, {.grid = unsigned(n + 255) / 256, .block = 32}, x, out, n);
}

void warp_operations(int* out, int threads) {
  launch(warp_operations_kernel, {.block = unsigned(threads)}, out);
}
void block_votes(int* out, int threads, int limit) {
  launch(block_votes_kernel, {.block = unsigned(threads)}, out, limit);
}
void tile_operations(int* out, int threads) {
  launch(tile_operations_kernel, {.block = unsigned(threads)}, out);
}
void atomics(int* out, int blocks, int threads) {
  launch(atomics_kernel, {.grid = unsigned(blocks), .block = unsigned(threads)}, out);
}
void first_sight(float* out, int* dims, int shared_bytes) {
  launch(first_sight_kernel, {.grid = {2, 3}, .block = {4, 3, 2}, .shared_bytes = unsigned(shared_bytes)},
         out, dims);
}
void pipeline(const int* in, int* out) { launch(pipeline_kernel, {}, in, out); }
void write_last(float* y, long long n, int per_block) {
  launch(write_last_kernel, {.grid = unsigned((n + per_block - 1) / per_block), .block = 64}, y, n,
         per_block);
}
void transactions(float* out, int blocks, int cluster, int steps) {
  launch(transactions_kernel, {.grid = unsigned(blocks), .block = 64, .cluster = unsigned(cluster)}, out,
         steps);
}
void tagged_values(float* out, unsigned long long* exchange, int blocks, int steps) {
  launch(tagged_values_kernel, {.grid = unsigned(blocks), .block = 64, .cooperative = true}, out, exchange,
         steps);
}
void cluster_neighbours(int* out, int blocks, int cluster) {
  launch(
      cluster_neighbours_kernel,
      {.grid = unsigned(blocks), .block = 16, .shared_bytes = 16 * sizeof(int), .cluster = unsigned(cluster)},
      out);
}

}  // namespace samples
