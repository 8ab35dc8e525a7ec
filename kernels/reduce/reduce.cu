// Sums over batch elements or steps, added to the previous sums: one launch for all of them.
//   sums_c += Σ_r values_rc, or a total over all r and c
// Grid: for sums per column one block of 256 threads per 8 columns, for a total one block. A column's rows
// are in 32 classes, class = r mod 32, each in rising order, one per thread; the classes are added along a
// tree. A total adds up each column in rising order, then a thread's columns, then the threads along a tree.
// Bytes: the values read once.
#include "reduce/launch.hpp"

#include "common/lanes.cuh"
#include "rules/arithmetic.hpp"

namespace plasticity::cuda {
namespace {

constexpr int threads = 256, columns_per_block = 8, row_classes = threads / columns_per_block;

/// Blocks of the launch of one sum.
PLASTICITY_HOST_DEVICE inline std::int64_t sum_blocks(const ColumnSums& sums) {
  return sums.total ? 1 : (sums.columns + columns_per_block - 1) / columns_per_block;
}

/// The sum of a block's values, along a tree, returned to thread 0.
__device__ float sum_of_block(float value, float (&words)[threads / 32]) {
  value = join_lanes(value, Add{});
  if (lane_id() == 0) words[warp_id()] = value;
  __syncthreads();
  value = words[0];
  for (int warp = 1; warp < threads / 32; ++warp) value += words[warp];
  return value;
}

__device__ void sum_columns(const ColumnSums& s, std::int64_t first,
                            float (&classes)[row_classes][columns_per_block]) {
  const int column = static_cast<int>(threadIdx.x) % columns_per_block,
            own = static_cast<int>(threadIdx.x) / columns_per_block;
  const std::int64_t c = first + column;
  float sum = 0;
  if (c < s.columns) {
    const float* value = s.values + c;
#pragma unroll 8
    for (std::int64_t r = own; r < s.rows; r += row_classes) sum += value[r * s.columns];
  }
  classes[own][column] = sum;
  for (int d = row_classes / 2; d > 0; d /= 2) {
    __syncthreads();
    if (own < d) classes[own][column] += classes[own + d][column];
  }
  if (own == 0 && c < s.columns) s.sums[c] += classes[0][column];
}

__device__ void sum_total(const ColumnSums& s, float (&words)[threads / 32]) {
  float sum = 0;
  for (std::int64_t c = threadIdx.x; c < s.columns; c += threads) {
    float column = 0;
#pragma unroll 8
    for (std::int64_t r = 0; r < s.rows; ++r) column += s.values[r * s.columns + c];
    sum += column;
  }
  sum = sum_of_block(sum, words);
  if (threadIdx.x == 0) s.sums[0] += sum;
}

__global__ void __launch_bounds__(threads) sums_kernel(const __grid_constant__ SumList list) {
  PLASTICITY_SHARED(float, classes, [row_classes][columns_per_block]);
  PLASTICITY_SHARED(float, words, [threads / 32]);
  std::int64_t block = blockIdx.x;
  int k = 0;
  for (; k + 1 < list.count; ++k) {
    const std::int64_t blocks = sum_blocks(list.sums[k]);
    if (block < blocks) break;
    block -= blocks;
  }
  const ColumnSums& s = list.sums[k];
  if (s.total) {
    sum_total(s, words);
  } else {
    sum_columns(s, block * columns_per_block, classes);
  }
}

}  // namespace

void launch_sums(const SumList& list, cudaStream_t stream) {
  std::int64_t blocks = 0;
  for (int k = 0; k < list.count; ++k) blocks += sum_blocks(list.sums[k]);
  if (blocks == 0) return;
  launch(sums_kernel, {.grid = static_cast<unsigned>(blocks), .block = threads, .stream = stream}, list);
}

}  // namespace plasticity::cuda
