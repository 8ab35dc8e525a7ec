#pragma once

#include "resident/shape.hpp"

// The alternatives of a tuning build (-DPLASTICITY_TUNING=ON), chosen by environment variables. An ordinary
// build has the first of each, and refuses another.
namespace plasticity::cuda {

/// Whether this is a tuning build.
bool build_has_alternatives();

/// PLASTICITY_ARRIVAL: "barrier" (the default) or "counted". Reads the variable at each call. Throws
/// Error(invalid_argument) for another value, and Error(unsupported) if this build does not have it.
Arrival chosen_arrival();

}  // namespace plasticity::cuda
