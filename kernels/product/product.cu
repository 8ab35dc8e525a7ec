// C = A B (+ bias): the input currents of all steps and the gradient of their inputs, one row of C a step and
// batch element. Not cuBLAS, which chooses a kernel by the number of rows: here a row of C has the same bits
// whatever stands beside it, so that a sample alone gives what it gives in any batch. These products are a
// small part of the work: 2 flops for 8 to 20 bytes of a step's trace. (The gradients of the weights, sums
// over all rows, are cuBLAS's: host/cuda/blas.hpp.)
// Grid: a block of 256 threads a tile of 64 x 64 of C. On chip: 16 columns of A and rows of B at a time in
// shared memory, 4 x 4 sums a thread. Bytes: A (N / 64) times, B (M / 64) times, mostly from L2.
#include "product/launch.hpp"

#include <algorithm>

#include "common/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int tile = 64, depth = 16, threads = 256, own = 4;

// Padded: rows of whole 16 bytes, and fewer bank conflicts where k runs along the lanes.
using Slice = float[depth][tile + 4];

/// slice[k][m] = matrix(first + m, k0 + k), zero outside. Neighbouring threads read along the smaller stride.
__device__ void fill(const Matrix& matrix, std::int64_t first, std::int64_t size, std::int64_t k0,
                     std::int64_t k_end, Slice& slice) {
  const bool along_k = matrix.column < matrix.row;
#pragma unroll
  for (int piece = 0; piece < tile * depth / threads; ++piece) {
    const int index = piece * threads + static_cast<int>(threadIdx.x);
    const int k = along_k ? index % depth : index / tile, m = along_k ? index / depth : index % tile;
    const bool there = first + m < size && k0 + k < k_end;
    slice[k][m] = there ? __ldg(matrix.data + (first + m) * matrix.row + (k0 + k) * matrix.column) : 0;
  }
}

__global__ void __launch_bounds__(threads) product_kernel(const __grid_constant__ Product p) {
  PLASTICITY_SHARED(Slice, a, [1]);
  PLASTICITY_SHARED(Slice, b, [1]);
  const std::int64_t tiles_n = (p.N + tile - 1) / tile;
  const std::int64_t n0 = blockIdx.x % tiles_n * tile, m0 = blockIdx.x / tiles_n * tile;
  const int row = static_cast<int>(threadIdx.x) / (tile / own) * own;
  const int column = static_cast<int>(threadIdx.x) % (tile / own) * own;
  const Matrix b_by_column{p.b.data, p.b.column, p.b.row};

  float sums[own][own] = {};
  for (std::int64_t k0 = 0; k0 < p.K; k0 += depth) {
    fill(p.a, m0, p.M, k0, p.K, a[0]);
    fill(b_by_column, n0, p.N, k0, p.K, b[0]);
    __syncthreads();
#pragma unroll
    for (int k = 0; k < depth; ++k) {
#pragma unroll
      for (int r = 0; r < own; ++r) {
#pragma unroll
        for (int c = 0; c < own; ++c) sums[r][c] += a[0][k][row + r] * b[0][k][column + c];
      }
    }
    __syncthreads();
  }
#pragma unroll
  for (int r = 0; r < own; ++r) {
#pragma unroll
    for (int c = 0; c < own; ++c) {
      const std::int64_t m = m0 + row + r, n = n0 + column + c;
      if (m >= p.M || n >= p.N) continue;
      p.c[m * p.N + n] = sums[r][c] + (p.bias == nullptr ? 0 : p.bias[n]);
    }
  }
}

/// Grid-stride over all elements. Bytes: the rows read and written once.
__global__ void __launch_bounds__(threads) counted_rows_kernel(const __grid_constant__ CountedRows rows) {
  const std::int64_t count = rows.T * rows.B * rows.width, stride = std::int64_t{gridDim.x} * threads;
  for (std::int64_t k = std::int64_t{blockIdx.x} * threads + threadIdx.x; k < count; k += stride) {
    const std::int64_t row = k / rows.width, t = row / rows.B, b = row % rows.B;
    const bool counts =
        (rows.length == nullptr || t < rows.length[b]) && (rows.reset == nullptr || rows.reset[row] == 0);
    rows.out[k] = counts ? rows.in[k] : 0;
  }
}

}  // namespace

std::int64_t product_blocks(std::int64_t M, std::int64_t N) {
  return (M + tile - 1) / tile * ((N + tile - 1) / tile);
}

void launch_product(const Product& product, cudaStream_t stream) {
  const std::int64_t blocks = product_blocks(product.M, product.N);
  if (blocks == 0) return;
  launch(product_kernel, {.grid = static_cast<unsigned>(blocks), .block = threads, .stream = stream},
         product);
}

void launch_counted_rows(const CountedRows& rows, cudaStream_t stream) {
  const std::int64_t blocks = (rows.T * rows.B * rows.width + threads - 1) / threads;
  if (blocks == 0) return;
  launch(counted_rows_kernel,
         {.grid = static_cast<unsigned>(std::min<std::int64_t>(blocks, 4096)),
          .block = threads,
          .stream = stream},
         rows);
}

}  // namespace plasticity::cuda
