// Matrix products whose rows have the same bits in every batch, and copies of rows with masked ones set to
// zero.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plasticity::cuda {

/// A matrix of any strides: element r, c is at r * row + c * column.
struct Matrix {
  const float* data;
  std::int64_t row, column;
};

/// C = A B (+ bias) (+ addend) in fp32, for matrices of any strides and alignment.
struct Product {
  std::int64_t M, N, K;
  Matrix a;             // [M,K]
  Matrix b;             // [K,N]
  const float* bias;    // [N] or null
  const float* addend;  // [M,N] or null
  float* c;             // [M,N] out
};

/// Blocks per launch.
std::int64_t product_blocks(std::int64_t M, std::int64_t N);

/// One launch; none if M N = 0.
void launch_product(const Product& product, cudaStream_t stream);

/// A copy of the rows of all steps of a batch, with zeros in masked rows (even if `in` holds NaN there).
struct MaskedRows {
  std::int64_t T, B, width;
  const float* in;             // [T,B,width]
  const std::int64_t* length;  // [B] masks the steps from `length` on; or null
  const std::uint8_t* reset;   // [T,B] masks the steps that are set; or null
  float* out;                  // [T,B,width]
};

/// One launch; none if there are no rows.
void launch_masked_rows(const MaskedRows& rows, cudaStream_t stream);

}  // namespace plasticity::cuda
