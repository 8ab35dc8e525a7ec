#pragma once

#include <filesystem>
#include <string>

#include "cuda/fit.hpp"

// The file of `plasticity tune`: the constants of the cost model, and the times to which they were fitted.
namespace plasticity::cuda {

/// The times measured on a device.
struct Measurements {
  std::string device;
  DeviceLimits limits;
  std::vector<Observation> observations;
};

/// The text of a tuning file: JSON with the constants, and the measurements if there are any.
std::string tuning_text(const DeviceConstants& constants, const Measurements& measurements);

/// Reads the measurements of a tuning file, which need no constants beside them. Throws Error(io) if the file
/// cannot be read, and Error(format) that names the file, the key and the expected value.
Measurements read_measurements(const std::filesystem::path& path);

/// One line for each network and size in the measurements: the execution with the smallest estimate, and how
/// much longer its measured time is than the smallest.
std::string describe_choices(const Measurements& measurements, const DeviceConstants& constants);

}  // namespace plasticity::cuda
