#pragma once

#include <cuda_runtime_api.h>

#include "resident/params.hpp"

namespace plasticity::cuda {

/// The resident kernels of a rule, instantiated in resident/instances/resident_RULE.cu. Launches throw
/// plasticity::Error if CUDA rejects them.
template <Rule rule>
struct ResidentKernels {
  static void launch_forward(const ResidentForward& run, cudaStream_t stream);
  static void launch_backward(const ResidentBackward& run, cudaStream_t stream);
  /// How many groups of this shape the current device can hold at once, forward and backward. 0 if it cannot
  /// hold one.
  static std::int64_t max_groups(Eligibility eligibility, const Contents& contents, const GroupShape& shape);
};

}  // namespace plasticity::cuda
