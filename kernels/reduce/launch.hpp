#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plasticity::cuda {

/// sums[c] += Σ_r values[r * columns + c], rows in a fixed order. One launch.
void add_columns(const float* values, std::int64_t rows, std::int64_t columns, float* sums,
                 cudaStream_t stream);

/// As add_columns() where row r of the sums begins at r' * stride: sums is [rows', width] of a wider matrix
/// and a row of `values` is all of it, [rows' width].
void add_matrices(const float* values, std::int64_t count, std::int64_t rows, std::int64_t width, float* sums,
                  std::int64_t stride, cudaStream_t stream);

/// *sum += Σ values, in a fixed order. One launch of one block.
void add_total(const float* values, std::int64_t count, float* sum, cudaStream_t stream);

}  // namespace plasticity::cuda
