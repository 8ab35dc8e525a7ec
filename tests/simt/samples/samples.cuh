// Kernels written once: nvcc compiles them for a GPU, g++ for the executor.
#pragma once

#include <cooperative_groups.h>

#include "common/launch.hpp"
#include "common/pack.cuh"
#include "common/ptx.cuh"
#include "simt/samples/samples.hpp"

namespace samples {

namespace cg = cooperative_groups;
using plasticity::from_float;
using plasticity::to_float;

__device__ inline float warp_sum(float v) {
#pragma unroll
  for (int bits = 16; bits; bits /= 2) v += __shfl_xor_sync(0xffffffffu, v, bits);
  return v;
}

// One partial sum per block, in a fixed order.
template <int Threads>
__global__ void __launch_bounds__(Threads)
    block_sum_kernel(const float* __restrict__ x, float* __restrict__ part, int n) {
  PLASTICITY_SHARED(float, warp_part, [Threads / 32]);
  const int thread = static_cast<int>(threadIdx.x), first = static_cast<int>(blockIdx.x) * Threads + thread;
  const int stride = static_cast<int>(gridDim.x) * Threads;
  float sum = 0;
  for (int i = first; i < n / 4; i += stride) {
    const auto v = plasticity::load_pack_once_read_only(x + 4 * i);
    sum += (v[0] + v[1]) + (v[2] + v[3]);
  }
  if (blockIdx.x == 0 && thread < n % 4) sum += x[n / 4 * 4 + thread];
  sum = warp_sum(sum);
  if (thread % 32 == 0) warp_part[thread / 32] = sum;
  __syncthreads();
  if (thread < 32) {
    sum = warp_sum(thread < Threads / 32 ? warp_part[thread] : 0.0f);
    if (thread == 0) part[blockIdx.x] = sum;
  }
}

// Grid (rows / warps, B), one warp per row. x passes through two tiles of shared memory by cp.async, once for
// y and once for the update.
template <class T>
__global__ void __launch_bounds__(256) trace_step_kernel(TraceStep<T> s, int tile) {
  PLASTICITY_DYNAMIC_SHARED(float, tiles);  // [2,tile]
  const int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x),
            lane = thread % 32;
  const int row = static_cast<int>(blockIdx.x) * (threads / 32) + thread / 32;
  const std::size_t b = blockIdx.y, N = static_cast<std::size_t>(s.N);
  const float* x = s.x + b * N;
  const std::size_t in_matrix = static_cast<std::size_t>(row) * N, in_batch = b * N * N + in_matrix;
  const int count = (s.N + tile - 1) / tile;

  auto fetch = [&](int t) {
    for (int j = thread * 4; j < tile; j += threads * 4)
      if (t * tile + j < s.N) plasticity::cp_async_16(tiles + t % 2 * tile + j, x + t * tile + j);
  };
  auto for_each_x = [&](auto&& use) {
    fetch(0);
    plasticity::cp_async_commit();
    for (int t = 0; t < count; ++t) {
      if (t + 1 < count) fetch(t + 1);
      plasticity::cp_async_commit();
      plasticity::cp_async_wait<1>();
      __syncthreads();
      if (row < s.N)
        for (int j = lane; j < tile && t * tile + j < s.N; j += 32)
          use(static_cast<std::size_t>(t * tile + j), tiles[t % 2 * tile + j]);
      __syncthreads();
    }
  };

  float sum = 0;
  for_each_x([&](std::size_t j, float x_j) {
    sum = fmaf(s.w[in_matrix + j] + s.alpha[in_matrix + j] * to_float(s.h[in_batch + j]), x_j, sum);
  });
  sum = warp_sum(sum);
  const float y = row < s.N ? tanhf(sum + s.bias[row]) : 0.0f;
  if (row < s.N && lane == 0) s.y[b * N + static_cast<std::size_t>(row)] = y;
  for_each_x([&](std::size_t j, float x_j) {
    s.h_out[in_batch + j] = from_float<T>((1 - s.eta) * to_float(s.h[in_batch + j]) + s.eta * y * x_j);
  });
}

// One block, one warp per row. Row sums are added in a warp, column sums in shared memory, in order of warps.
template <int Warps>
__global__ void __launch_bounds__(32 * Warps) trace_adjoint_kernel(TraceAdjoint a) {
  PLASTICITY_DYNAMIC_SHARED(float, columns);  // [Warps,N]
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, N = a.N;
  for (int j = lane; j < N; j += 32) columns[warp * N + j] = 0;
  for (int i = warp; i < N; i += Warps) {
    float row = 0;
    for (int j = lane; j < N; j += 32) {
      const float g = a.g[i * N + j];
      a.dh[i * N + j] = (1 - a.eta) * g;    // adjoint
      row += g * a.x[j];                    // adjoint
      columns[warp * N + j] += g * a.y[i];  // adjoint
    }
    row = warp_sum(row);
    if (lane == 0) a.dy[i] = a.eta * row;  // adjoint
  }
  __syncthreads();
  for (int j = static_cast<int>(threadIdx.x); j < N; j += 32 * Warps) {
    float column = 0;
    for (int w = 0; w < Warps; ++w) column = fmaf(a.eta, columns[w * N + j], column);  // adjoint
    a.dx[j] = column;
  }
}

}  // namespace samples
