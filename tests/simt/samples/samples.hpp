// Sample kernels, as a library would offer them: plain functions, no kernel syntax.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

namespace samples {

// --- right ones (samples.cu)

/// part[b] = a share of the sum of x[n], for each of `blocks` blocks. x 16-byte aligned.
void block_sums(const float* x, float* part, int n, int blocks, cudaStream_t stream);

/// One step of B plastic networks of N neurons, T float or bfloat16, N a multiple of 4:
///   y_b = tanh(bias + (w + alpha h_b) x_b),  h_out_b = (1 - eta) h_b + eta y_b x_b^T.
template <class T>
struct TraceStep {
  const float* w;      // [N,N]
  const float* alpha;  // [N,N]
  const T* h;          // [B,N,N]
  T* h_out;            // [B,N,N]
  const float* x;      // [B,N], 16-byte aligned
  const float* bias;   // [N]
  float* y;            // [B,N]
  int N, B;
  float eta;
};
/// `tile` is how many x are held in shared memory at a time, a multiple of 4.
template <class T>
void trace_step(const TraceStep<T>& step, int tile, cudaStream_t stream);

/// The adjoint of h_out = (1 - eta) h + eta y x^T in one block: from g = dL/dh_out [N,N],
///   dh = (1 - eta) g,  dx = eta g^T y,  dy = eta g x.
struct TraceAdjoint {
  const float* g;  // [N,N]
  const float* x;  // [N]
  const float* y;  // [N]
  float* dh;       // [N,N]
  float* dx;       // [N]
  float* dy;       // [N]
  int N;
  float eta;
};
void trace_adjoint(const TraceAdjoint& adjoint, cudaStream_t stream);

/// T steps of h = tanh(w h) by the whole grid; h is [2,N], begins in the first half, ends in half T % 2.
void persistent_rnn(const float* w, float* h, int N, int T, int blocks, cudaStream_t stream);

/// out[c] = the sum of x over the blocks of cluster c; each block takes `per_block` elements.
void cluster_sums(const float* x, float* out, int per_block, int blocks, int cluster, cudaStream_t stream);

/// *out = the sum of x[n]; the last block to finish adds the parts. *ticket is 0 before.
void last_block_sum(const float* x, float* part, unsigned* ticket, float* out, int n, int blocks,
                    cudaStream_t stream);

/// out[i] = in[i ^ 5], lanes exchanging through shared memory.
void warp_exchange(const int* in, int* out, int n);

/// Block 1 waits for block 0's flag, then out[1] = out[0] = 42.
void flag_between_blocks(unsigned* flag, int* out);

/// out[i] = x[i], 16 bytes at a time, to bfloat16 and back.
void round_to_bf16(const float* x, __nv_bfloat16* out, int n);

/// out[0..7] of each thread: the results of the warp operations; see warp_test.cpp.
void warp_operations(int* out, int threads);
/// out[0..2] of each thread: __syncthreads_count, _and, _or of whether its number is below `limit`.
void block_votes(int* out, int threads, int limit);
/// out[t] of each tile of 8: the ballot of odd ranks, and the rank's meta group, and so on.
void tile_operations(int* out, int threads);
/// All threads: out[0] += their number, out[1] = max, out[2] = min, out[3] = or, out[4] += 2 each by CAS,
/// out[5] -= their number, out[6] = and, out[7] = exclusive or, and the float in out[8] += 0.5 each.
void atomics(int* out, int blocks, int threads);
/// out[b] = the initial contents of shared memory, static and dynamic, and blockDim and gridDim.
void first_sight(float* out, int* dims, int shared_bytes);
/// Copies 4, 8 and 16 bytes by __pipeline_memcpy_async, the last with 8 bytes of zeros.
void pipeline(const int* in, int* out);
/// out[b] = block b's number, written by its first thread; the last element of y[n] by the block that owns
/// it.
void write_last(float* y, long long n, int per_block);
/// out[block * 4 + i] = rank, index in the cluster, and the value of the left neighbour; arrive and wait are
/// separate.
void cluster_neighbours(int* out, int blocks, int cluster);

/// Blocks tell each other (rank + 1) (step + 1) at every step, without a barrier: in clusters by asynchronous
/// stores and transaction barriers, in a grid by tagged values. out[b] is the sum of all that block b
/// received.
void transactions(float* out, int blocks, int cluster, int steps);
/// `exchange`: [2 * blocks] of 8 bytes, without a tag of 1 to `steps`.
void tagged_values(float* out, unsigned long long* exchange, int blocks, int steps);

// --- wrong kernels (misuse.cu), which the executor must report

enum class Misuse {
  divergent_barrier,    // two textual barriers
  exit_before_barrier,  // some threads return
  deadlock,             // half a warp shuffles, half is at a barrier
  not_in_own_mask,      // a lane calls with a mask without it
  divergent_shuffle,    // lanes in different operations
  no_barrier,           // may read before a neighbour has written
  no_syncwarp,          // the same in a warp
  no_copy_wait,         // uses a cp.async without waiting for it
  no_reuse_barrier,     // starts the next copy into a buffer others still read
  no_grid_sync,         // reads another block's result too early
  no_cluster_sync,      // exits while others read its shared memory
  no_fence,             // raises a flag without a fence
  spins,                // waits for a flag that no thread sets
  misaligned,           // a 16-byte load of an odd address
  shared_out_of_bounds,
  global_out_of_bounds,    // writes out[n]
  too_much_static_shared,  // over 48 KiB
  grid_sync_not_cooperative,
  bad_cluster_rank,
  no_transactions_wait,     // uses asynchronous stores without waiting for them
  one_transactions_buffer,  // sends the next value while the other block may still read the last
  transactions_not_initialised,
  too_many_arrivals,         // at a transaction barrier
  missing_transactions,      // waits for more bytes than are sent
  exit_before_transactions,  // a block exits while a store to it is on its way
  trap,
};
/// The right result of the silent kernels is out[i] = i / 64 * 64 + 63 - i % 64 for i < n, n a multiple of
/// 128. The rest of out, 6 n in all, is scratch.
void misuse(Misuse which, int* out, int n, cudaStream_t stream = nullptr);

}  // namespace samples
