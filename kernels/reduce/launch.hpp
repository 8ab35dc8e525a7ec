// Sums over batch elements or steps.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace plasticity::cuda {

/// sums[c] += Σ_r values[r * columns + c], by CUB. The bits are the same every time on one kind of device.
struct ColumnSums {
  const float* values;  // [rows,columns]
  std::int64_t rows, columns;
  float* sums;  // [columns]
};

/// The bytes of workspace that launch_column_sums() needs on the current device.
std::size_t column_sums_bytes(std::int64_t rows, std::int64_t columns);

/// `workspace`: at least column_sums_bytes(), aligned to 16 bytes.
void launch_column_sums(const ColumnSums& sums, void* workspace, std::size_t bytes, cudaStream_t stream);

}  // namespace plasticity::cuda
