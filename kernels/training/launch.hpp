#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "training/elements.hpp"

namespace plasticity::cuda {

/// Blocks that sum, at most; each leaves one partial sum.
constexpr int most_summing_blocks = 512;

/// Bytes that a call works in.
constexpr std::size_t squared_error_bytes = most_summing_blocks * sizeof(SquaredSums);
constexpr std::size_t clip_bytes = most_summing_blocks * sizeof(double);

/// Two launches; `partial` is squared_error_bytes.
void launch_squared_error(const SquaredErrorArgs& args, SquaredSums* partial, cudaStream_t stream);

/// Tensors of one launch, cut into chunks: chunk c belongs to the last tensor whose first_chunk is not above
/// it. Empty tensors are not in it.
struct TensorTable {
  static constexpr int most = 48;
  int count;
  TrainedTensor tensors[most];
  std::int64_t first_chunk[most + 1];  // the last one in use: the number of chunks
};
static_assert(sizeof(TensorTable) < 3072);  // a kernel's parameters are at most 4 KiB

constexpr int chunk_elements = 1024;

/// Partial sums of the squares of a table's gradients: one a chunk, up to most_summing_blocks.
int squares_partials(const TensorTable& table);

/// partial[k] = (or, where it `adds`, +=) a part of Σ gradient², for all k below `partials`.
void launch_squares(const TensorTable& table, double* partial, int partials, bool adds, cudaStream_t stream);

/// gradient *= most / norm, where the norm, the root of the sum of the partials, is above `most`. `norm`:
/// out, or null.
void launch_clip(const TensorTable& table, const double* partial, int partials, double most, double* norm,
                 cudaStream_t stream);

/// One launch; none where there is nothing in the table.
void launch_adam(const TensorTable& table, const AdamConstants& constants, const AdamScales* scales,
                 cudaStream_t stream);

}  // namespace plasticity::cuda
