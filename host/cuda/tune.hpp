#pragma once

#include <optional>

#include "cuda/fit.hpp"
#include "device/cuda_api.hpp"

// Times the library's own executions on a GPU, for the fit of the cost model's constants.
namespace plasticity::cuda {

/// One network, size and execution to time.
struct Measurement {
  std::int64_t neurons, batch, steps, interval;
  Execution execution;
  bool bf16 = false;
  Cell cell = Cell::rnn;
  Rule rule = Rule::hard_clip;  ///< with fan_out; decay with a fixed rate
  bool every_shape = false;     ///< of a resident execution; else the one that the planner prefers

  Spec spec() const;
};

/// The measurements of `plasticity tune`: sizes in which each constant matters somewhere.
std::vector<Measurement> tuning_measurements();

/// A measurement, and the shape if its execution is resident.
struct ShapedRun {
  Measurement measurement;
  std::optional<ResidentShape> shape;
};

/// The measurements that a device has room for, with their shapes.
std::vector<ShapedRun> runs_of(const std::vector<Measurement>& measurements, const DeviceLimits& limits);

/// Times the measurements on a device, for about `seconds` in all. An execution that does not fit the device
/// is left out.
std::vector<Observation> measure(int index, const std::vector<Measurement>& measurements, double seconds);

/// CudaApi::tune
Tuning run_tune(int index, double seconds);

/// CudaApi::fit
Tuning run_fit(const std::string& path);

}  // namespace plasticity::cuda
