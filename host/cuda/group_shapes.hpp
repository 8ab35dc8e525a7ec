#pragma once

#include <string>
#include <vector>

#include "cuda/cost_model.hpp"

// The launch shapes of the resident kernels that fit a network and a device.
namespace plasticity::cuda {

NetworkTraits network_traits(const Spec& spec);

/// The shapes of one kind of group that fit, by their columns from the widest to the narrowest. If there is
/// none, `reason` gets the reason.
std::vector<ResidentShape> shapes_that_fit(const Spec& spec, bool bf16, const DeviceLimits& limits,
                                           GroupKind kind, std::string& reason);

}  // namespace plasticity::cuda
