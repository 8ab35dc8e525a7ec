// C = A B (+ bias) (+ addend): the input currents of all steps, and the gradient of their inputs. One row of
// C per step and batch element. cuBLAS chooses a kernel by the number of rows. Here a row of C has the same
// bits for every number of rows, so a sample has the same bits alone and in a batch. These products are a
// small part of the work: 2 flops per 8 to 20 bytes of a step's trace. (The gradients of the weights are sums
// over all rows; cuBLAS computes them: host/cuda/blas.hpp.) Grid: one block of 256 threads per tile of 64 x
// 64 of C. On chip: 16 columns of A and 16 rows of B at a time in shared memory, 4 x 4 sums per thread.
// Bytes: A read N / 64 times, B read M / 64 times, mostly from L2.
#include "product/launch.hpp"

#include <algorithm>

#include "common/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int tile = 64, depth = 16, threads = 256, own = 4;

// Padded: rows are multiples of 16 bytes, and there are fewer bank conflicts if k varies along the lanes.
using Slice = float[depth][tile + 4];

/// slice[k][m] = matrix(first + m, k0 + k), zero outside the matrix. Neighbouring threads read along the
/// smaller stride.
__device__ void fill(const Matrix& matrix, std::int64_t first, std::int64_t size, std::int64_t k0,
                     std::int64_t k_end, Slice& slice) {
  const bool along_k = matrix.column < matrix.row;
#pragma unroll
  for (int piece = 0; piece < tile * depth / threads; ++piece) {
    const int index = piece * threads + static_cast<int>(threadIdx.x);
    const int k = along_k ? index % depth : index / tile, m = along_k ? index / depth : index % tile;
    const bool exists = first + m < size && k0 + k < k_end;
    slice[k][m] = exists ? __ldg(matrix.data + (first + m) * matrix.row + (k0 + k) * matrix.column) : 0;
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
      float sum = sums[r][c] + (p.bias == nullptr ? 0 : p.bias[n]);
      if (p.addend != nullptr) sum += p.addend[m * p.N + n];
      p.c[m * p.N + n] = sum;
    }
  }
}

/// Grid: grid-stride over all elements. Bytes: the rows read once and written once.
__global__ void __launch_bounds__(threads) masked_rows_kernel(const __grid_constant__ MaskedRows rows) {
  const std::int64_t count = rows.T * rows.B * rows.width, stride = std::int64_t{gridDim.x} * threads;
  for (std::int64_t k = std::int64_t{blockIdx.x} * threads + threadIdx.x; k < count; k += stride) {
    const std::int64_t row = k / rows.width, t = row / rows.B, b = row % rows.B;
    const bool masked =
        (rows.length != nullptr && t >= rows.length[b]) || (rows.reset != nullptr && rows.reset[row] != 0);
    rows.out[k] = masked ? 0 : rows.in[k];
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

void launch_masked_rows(const MaskedRows& rows, cudaStream_t stream) {
  const std::int64_t blocks = (rows.T * rows.B * rows.width + threads - 1) / threads;
  if (blocks == 0) return;
  launch(masked_rows_kernel,
         {.grid = static_cast<unsigned>(std::min<std::int64_t>(blocks, 4096)),
          .block = threads,
          .stream = stream},
         rows);
}

}  // namespace plasticity::cuda
