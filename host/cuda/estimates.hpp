#pragma once

#include <string>

#include "cuda/planner.hpp"

namespace plasticity::cuda {

/// The limits of a GPU by its name: a100, h100, h200 or b200. Throws Error(invalid_argument) for another
/// name.
DeviceLimits limits_of(const std::string& gpu);

/// CudaApi::estimates
std::string run_estimates(const Spec& spec, const PlanOptions& options, const std::string& gpu);

}  // namespace plasticity::cuda
