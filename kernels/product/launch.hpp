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
  Matrix a;           // [M,K]
  Matrix b;           // [K,N]
  const float* bias;  // [N] or null
  float* c;           // [M,N] out
};

/// Blocks of a launch.
std::int64_t product_blocks(std::int64_t M, std::int64_t N);

/// One launch; none where M N = 0.
void launch_product(const Product& product, cudaStream_t stream);

/// Rows of all steps of a batch, with zeros where a row does not count, whatever stands there.
struct CountedRows {
  std::int64_t T, B, width;
  const float* in;             // [T,B,width]
  const std::int64_t* length;  // [B] steps from `length` on do not count; or null
  const std::uint8_t* reset;   // [T,B] nor do steps that are set here; or null
  float* out;                  // [T,B,width]
};

/// One launch; none where there is nothing to write.
void launch_counted_rows(const CountedRows& rows, cudaStream_t stream);

}  // namespace plasticity::cuda
