#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plasticity::cuda {

/// A matrix by strides: element r, c at r * row + c * column.
struct Matrix {
  const float* data;
  std::int64_t row, column;
};

/// C = A B (+ bias), fp32, over matrices of any stride and alignment.
struct Product {
  std::int64_t M, N, K;
  Matrix a;            // [M,K]
  Matrix b;            // [K,N]
  const float* bias;   // [N] or null
  float* c;            // [parts,M,N] out
  std::int64_t parts;  // K is cut into so many pieces, each with a C of its own
  // Where K runs over the steps of a batch, [T,B]: which of them count. Columns of A that do not are taken
  // for zero, whatever stands there.
  const std::int64_t* length = nullptr;  // [B] steps from `length` on do not
  const std::uint8_t* reset = nullptr;   // [T,B] nor do those that are set here
  std::int64_t B = 1;
};

/// Pieces that keep the device busy where C is small and K long; a function of the sizes alone.
std::int64_t product_parts(std::int64_t M, std::int64_t N, std::int64_t K);

/// Blocks of a launch.
std::int64_t product_blocks(std::int64_t M, std::int64_t N, std::int64_t parts);

/// One launch; none where M N = 0.
void launch_product(const Product& product, cudaStream_t stream);

}  // namespace plasticity::cuda
