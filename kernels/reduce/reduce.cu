// Sums over batch elements, steps or parts of a product, added to what is there, in an order that depends on
// the sizes alone. (CUB would do as well on a GPU; these run under the tests' executor too, and are what is
// tested.)
#include <algorithm>

#include "reduce/launch.hpp"
#include "step/block.cuh"

namespace plasticity::cuda {
namespace {

/// sums[c / width * stride + c % width] += Σ_r values[r, c]. Grid-stride over tiles of 32 columns; the eight
/// warps of a block take every eighth row, lanes lie along the columns. Bytes: the values once.
__global__ void __launch_bounds__(block_threads)
    add_columns_kernel(const float* values, std::int64_t rows, std::int64_t columns, std::int64_t width,
                       float* sums, std::int64_t stride) {
  PLASTICITY_SHARED(ColumnParts, parts, [1]);
  const std::int64_t tiles = (columns + tile_columns - 1) / tile_columns;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t c = tile * tile_columns + lane_id();
    float sum = 0;
#pragma unroll 4
    for (std::int64_t r = warp_id(); r < rows && c < columns; r += block_warps)
      sum += values[r * columns + c];
    parts[0][warp_id()][lane_id()] = sum;
    __syncthreads();
    if (warp_id() == 0 && c < columns)
      sums[c / width * stride + c % width] += column_total(parts[0], lane_id());
    __syncthreads();
  }
}

__global__ void __launch_bounds__(block_threads)
    add_total_kernel(const float* values, std::int64_t count, float* sum) {
  PLASTICITY_SHARED(float, words, [block_warps]);
  float mine = 0;
#pragma unroll 4
  for (std::int64_t k = threadIdx.x; k < count; k += block_threads) mine += values[k];
  const float total = block_fold(mine, Add{}, words);
  if (threadIdx.x == 0) *sum += total;
}

}  // namespace

void add_matrices(const float* values, std::int64_t count, std::int64_t rows, std::int64_t width, float* sums,
                  std::int64_t stride, cudaStream_t stream) {
  const std::int64_t tiles = (rows * width + tile_columns - 1) / tile_columns;
  if (tiles == 0 || count == 0) return;
  launch(add_columns_kernel,
         {.grid = static_cast<unsigned>(std::min<std::int64_t>(tiles, 4096)),
          .block = block_threads,
          .stream = stream},
         values, count, rows * width, width, sums, stride);
}

void add_columns(const float* values, std::int64_t rows, std::int64_t columns, float* sums,
                 cudaStream_t stream) {
  add_matrices(values, rows, 1, columns, sums, columns, stream);
}

void add_total(const float* values, std::int64_t count, float* sum, cudaStream_t stream) {
  if (count == 0) return;
  launch(add_total_kernel, {.block = block_threads, .stream = stream}, values, count, sum);
}

}  // namespace plasticity::cuda
