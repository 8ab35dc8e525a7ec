#pragma once

#include "cuda/fit.hpp"
#include "device/cuda_api.hpp"

// Times the library's own executions on a GPU, for the fit of the cost model's constants.
namespace plasticity::cuda {

/// One sequence length, size and execution to time.
struct Measurement {
  std::int64_t neurons, batch, steps, interval;
  Execution execution;
};

/// The measurements of `plasticity tune`: sizes in which each constant matters somewhere.
std::vector<Measurement> tuning_measurements();

/// Times the measurements on a device, for about `seconds` in all. An execution that does not fit the device
/// is left out.
std::vector<Observation> measure(int index, const std::vector<Measurement>& measurements, double seconds);

/// CudaApi::tune
Tuning run_tune(int index, double seconds);

}  // namespace plasticity::cuda
