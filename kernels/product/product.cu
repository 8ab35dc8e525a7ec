// C = A B (+ bias): the input currents and their gradients, one row of C a step and batch element, and the
// gradients of the dense weights, where K runs over all steps. Not cuBLAS, for three promises it does not
// make: a row of C has the same bits whatever the number of rows (a sample alone gives what it gives in any
// batch); steps beyond a sample's length do not count even if they hold NaN; and no handle or workspace
// belongs to a thread or a stream. These products are a small part of the work: 2 flops for 8 to 20 bytes of
// a step's trace. Grid: a block of 256 threads a tile of 64 x 64 of C and a piece of K. On chip: 16 columns
// of A and rows of B at a time in shared memory, 4 x 4 sums a thread. Bytes: A (N / 64) times, B (M / 64)
// times, mostly from L2.
#include "product/launch.hpp"

#include <algorithm>

#include "common/launch.hpp"

namespace plasticity::cuda {
namespace {

constexpr int tile = 64, depth = 16, threads = 256, own = 4;

using Slice =
    float[depth][tile + 4];  // padded: 16-byte rows, and fewer bank conflicts where k runs along the lanes

__device__ bool counts(const Product& p, std::int64_t k) {
  if (p.length != nullptr && k / p.B >= p.length[k % p.B]) return false;
  return p.reset == nullptr || p.reset[k] == 0;
}

/// slice[k][m] = matrix(first + m, k0 + k), zero outside. Neighbouring threads read along the smaller stride.
__device__ void fill(const Product& p, const Matrix& matrix, std::int64_t first, std::int64_t size,
                     std::int64_t k0, std::int64_t k_end, bool masked, Slice& slice) {
  const bool along_k = matrix.column < matrix.row;
#pragma unroll
  for (int piece = 0; piece < tile * depth / threads; ++piece) {
    const int index = piece * threads + static_cast<int>(threadIdx.x);
    const int k = along_k ? index % depth : index / tile, m = along_k ? index / depth : index % tile;
    const bool there = first + m < size && k0 + k < k_end && (!masked || counts(p, k0 + k));
    slice[k][m] = there ? __ldg(matrix.data + (first + m) * matrix.row + (k0 + k) * matrix.column) : 0;
  }
}

__global__ void __launch_bounds__(threads) product_kernel(const __grid_constant__ Product p) {
  PLASTICITY_SHARED(Slice, a, [1]);
  PLASTICITY_SHARED(Slice, b, [1]);
  const std::int64_t tiles_n = (p.N + tile - 1) / tile, tiles_m = (p.M + tile - 1) / tile;
  const std::int64_t n0 = blockIdx.x % tiles_n * tile, m0 = blockIdx.x / tiles_n % tiles_m * tile,
                     part = blockIdx.x / tiles_n / tiles_m;
  const std::int64_t slices = (p.K + depth - 1) / depth, each = (slices + p.parts - 1) / p.parts;
  const std::int64_t begin = part * each * depth,
                     end = begin + each * depth < p.K ? begin + each * depth : p.K;
  const bool masked = p.length != nullptr || p.reset != nullptr;
  const int row = static_cast<int>(threadIdx.x) / (tile / own) * own;
  const int column = static_cast<int>(threadIdx.x) % (tile / own) * own;
  const Matrix b_by_column{p.b.data, p.b.column, p.b.row};

  float sums[own][own] = {};
  for (std::int64_t k0 = begin; k0 < end; k0 += depth) {
    fill(p, p.a, m0, p.M, k0, end, masked, a[0]);
    fill(p, b_by_column, n0, p.N, k0, end, false, b[0]);
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
      p.c[(part * p.M + m) * p.N + n] = sums[r][c] + (p.bias == nullptr ? 0 : p.bias[n]);
    }
  }
}

}  // namespace

std::int64_t product_blocks(std::int64_t M, std::int64_t N, std::int64_t parts) {
  return (M + tile - 1) / tile * ((N + tile - 1) / tile) * parts;
}

std::int64_t product_parts(std::int64_t M, std::int64_t N, std::int64_t K) {
  constexpr std::int64_t enough_blocks = 512, shortest = 128, most = 32;
  const std::int64_t blocks = std::max<std::int64_t>(product_blocks(M, N, 1), 1);
  return std::clamp<std::int64_t>(std::min(enough_blocks / blocks, K / shortest), 1, most);
}

void launch_product(const Product& product, cudaStream_t stream) {
  const std::int64_t blocks = product_blocks(product.M, product.N, product.parts);
  if (blocks == 0) return;
  launch(product_kernel, {.grid = static_cast<unsigned>(blocks), .block = threads, .stream = stream},
         product);
}

}  // namespace plasticity::cuda
