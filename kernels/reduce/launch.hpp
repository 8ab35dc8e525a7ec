// Sums over batch elements or steps, after the last step of backward.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plasticity::cuda {

/// sums[c] += Σ_r values[r * columns + c]; if `total`, sums[0] += the sum over all r and c.
struct ColumnSums {
  const float* values;  // [rows,columns]
  std::int64_t rows, columns;
  float* sums;  // [columns], or [1]
  bool total;
};

/// The sums of a call, for one launch.
struct SumList {
  static constexpr int max_count = 8;
  ColumnSums sums[max_count];
  int count = 0;

  void add(const ColumnSums& one) {
    if (one.columns > 0) sums[count++] = one;
  }
};

/// The bits do not depend on the device. Launches nothing if the list is empty.
void launch_sums(const SumList& list, cudaStream_t stream);

}  // namespace plasticity::cuda
