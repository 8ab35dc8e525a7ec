#pragma once

#include <cuda_runtime_api.h>

#include "resident/params.hpp"

namespace plasticity::cuda {

// One instance a rule, each in a source file of its own (see cmake/StepKernels.cmake). They throw
// plasticity::Error where CUDA refuses the launch.
template <Rule rule>
void launch_resident_forward(const ResidentForward& run, cudaStream_t stream);
template <Rule rule>
void launch_resident_backward(const ResidentBackward& run, cudaStream_t stream);

/// How many groups of that shape the current device holds at once, forward and backward; 0 if it has no
/// place for one.
template <Rule rule>
std::int64_t resident_groups(Eligibility eligibility, const Contents& contents, const GroupShape& shape);

}  // namespace plasticity::cuda
