// The launches of the losses, of gradient clipping and of the optimizers.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "training/elements.hpp"

namespace plasticity::cuda {

/// The maximum number of blocks that sum. Each writes one partial sum.
constexpr int max_summing_blocks = 512;

/// Bytes of scratch per call.
constexpr std::size_t squared_error_bytes = max_summing_blocks * sizeof(SquaredSums);
constexpr std::size_t cross_entropy_bytes = max_summing_blocks * sizeof(CrossEntropySums);
constexpr std::size_t clip_bytes = max_summing_blocks * sizeof(double);

/// Two launches. `partial`: squared_error_bytes.
void launch_squared_error(const SquaredErrorArgs& args, SquaredSums* partial, cudaStream_t stream);

/// Two launches. `partial`: cross_entropy_bytes.
void launch_cross_entropy(const CrossEntropyArgs& args, CrossEntropySums* partial, cudaStream_t stream);

/// The tensors of one launch, split into chunks. Chunk c belongs to the last tensor with first_chunk <= c. No
/// tensor is empty.
struct TensorTable {
  static constexpr int max_tensors = 48;
  int count;
  TrainedTensor tensors[max_tensors];
  std::uint32_t index[max_tensors];           // of the tensor in the caller's list
  std::int64_t first_chunk[max_tensors + 1];  // first_chunk[count]: the number of chunks
};
static_assert(sizeof(TensorTable) < 3072);  // a kernel's parameters are at most 4 KiB

constexpr int chunk_elements = 1024;

/// The number of partial sums of a table's squared gradients: one per chunk, at most max_summing_blocks.
int squares_partials(const TensorTable& table);

/// Writes (or adds, if `adds`) a part of Σ gradient² to partial[k], for all k < partials.
void launch_squares(const TensorTable& table, double* partial, int partials, bool adds, cudaStream_t stream);

/// gradient *= max_norm / norm if norm > max_norm. The norm is the root of the sum of the partials. `norm`:
/// out, or null.
void launch_clip(const TensorTable& table, const double* partial, int partials, double max_norm, double* norm,
                 cudaStream_t stream);

/// found = min(found, index of the first tensor with a gradient that is not finite). One launch; none if the
/// table is empty.
void launch_not_finite(const TensorTable& table, std::uint32_t* found, cudaStream_t stream);

/// One step of an optimizer. One launch; none if the table is empty. Does nothing on the device if `veto` is
/// given and is not -1.
void launch_update(const TensorTable& table, const UpdateOptions& options, const UpdateScales* scales,
                   const std::int32_t* veto, cudaStream_t stream);

}  // namespace plasticity::cuda
