// loss = s Σ (y - target)² over the unmasked entries, dy = 2 s (y - target), with s = 1 / count, 1, or 1 / Σ
// target². The first kernel writes one partial sum per block. In the second, every block adds up all partial
// sums in the same order and writes its part of the gradient: no atomics, the same bits every time.
// Grids: grid-stride over the elements, at most 512 blocks of 256 threads that sum. On chip: the sums, in
// double. Bytes: y, target and the mask read twice (the second time mostly from L2), dy written once: 21 per
// element.
#include <algorithm>

#include "training/block_sum.cuh"
#include "training/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int thread_elements = 4;  // per thread, while there are fewer than the maximum of blocks

__device__ bool counts(const SquaredErrorArgs& args, std::int64_t k) {
  return args.mask == nullptr || args.mask[k] != 0;
}

__global__ void __launch_bounds__(sum_threads)
    squared_sums_kernel(const __grid_constant__ SquaredErrorArgs args, SquaredSums* partial) {
  PLASTICITY_SHARED(SquaredSums, words, [sum_threads]);
  const std::int64_t stride = std::int64_t{gridDim.x} * sum_threads;
  SquaredSums sums{};
#pragma unroll 4
  for (std::int64_t k = std::int64_t{blockIdx.x} * sum_threads + threadIdx.x; k < args.elements;
       k += stride) {
    if (counts(args, k)) sums += squared(args.y[k], args.target[k]);
  }
  sums = block_sum(sums, words);
  if (threadIdx.x == 0) partial[blockIdx.x] = sums;
}

__global__ void __launch_bounds__(sum_threads)
    squared_error_kernel(const __grid_constant__ SquaredErrorArgs args, const SquaredSums* partial,
                         int partials) {
  PLASTICITY_SHARED(SquaredSums, words, [sum_threads]);
  SquaredSums sums{};
  for (int k = static_cast<int>(threadIdx.x); k < partials; k += sum_threads) sums += partial[k];
  sums = block_sum(sums, words);
  const double scale = scale_of(args, sums);
  if (args.loss != nullptr && blockIdx.x == 0 && threadIdx.x == 0) {
    *args.loss = sums.error * scale;
  }
  if (args.dy == nullptr) return;
  const std::int64_t stride = std::int64_t{gridDim.x} * sum_threads;
#pragma unroll 4
  for (std::int64_t k = std::int64_t{blockIdx.x} * sum_threads + threadIdx.x; k < args.elements;
       k += stride) {
    args.dy[k] = counts(args, k) ? squared_gradient(scale, args.y[k], args.target[k]) : 0.0f;
  }
}

}  // namespace

void launch_squared_error(const SquaredErrorArgs& args, SquaredSums* partial, cudaStream_t stream) {
  const std::int64_t wanted =
      (args.elements + sum_threads * thread_elements - 1) / (sum_threads * thread_elements);
  const int summing = static_cast<int>(std::min<std::int64_t>(wanted, max_summing_blocks));
  if (summing > 0) {
    launch(squared_sums_kernel,
           {.grid = static_cast<unsigned>(summing), .block = sum_threads, .stream = stream}, args, partial);
  }
  const std::int64_t writing = args.dy == nullptr ? 1 : std::clamp<std::int64_t>(wanted, 1, 4096);
  launch(squared_error_kernel,
         {.grid = static_cast<unsigned>(writing), .block = sum_threads, .stream = stream}, args,
         static_cast<const SquaredSums*>(partial), summing);
}

}  // namespace plasticity::cuda
