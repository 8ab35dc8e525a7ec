#pragma once

#include <vector>

#include "cuda/planner.hpp"

// The fit of the cost model's constants to measured times. It needs no GPU: tests fit times that the model
// itself computed.
namespace plasticity::cuda {

/// The measured µs per step of a candidate.
struct Observation {
  Spec spec;
  Sizes sizes;
  Candidate candidate;
  Estimate measured;
};

/// The root mean square of log(estimate / measured), over both directions of all observations.
double log_error(const std::vector<Observation>& observations, const DeviceLimits& limits,
                 const DeviceConstants& constants);

/// The constants that fit the times best, searched from `start` by the method of Levenberg and Marquardt on
/// the logarithms of constants and times. Minimizes the squares of log(estimate / measured), and for each
/// constant the square of prior_weight · log(constant / start). A constant that the times do not determine
/// stays near `start`.
DeviceConstants fit_constants(const std::vector<Observation>& observations, const DeviceLimits& limits,
                              const DeviceConstants& start);

}  // namespace plasticity::cuda
