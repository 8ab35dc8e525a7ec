#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plasticity/io/safetensors.hpp"
#include "plasticity/training.hpp"

// The checks and the file format that Adam and Trainer share.

namespace plasticity {

/// Throw Error(invalid_argument) if a value is out of range.
void check_learning_rate(double value);
void check_adam_options(const AdamOptions& options);

/// Adam's moments of one parameter, in host memory.
struct HostMoments {
  std::vector<float> first, second;
};

/// The optimiser's part of a checkpoint: the step count, and the moments by parameter name.
struct AdamRecord {
  std::int64_t steps = 0;
  std::map<std::string, HostMoments> moments{};
};

/// Stores the moments as "adam.NAME.m" and "adam.NAME.v", and the step count as metadata "adam.steps".
void write_adam(const AdamRecord& record, io::TensorFile& file);

/// Loads the record. Throws Error(format) if it is incomplete.
AdamRecord read_adam(const io::TensorFile& file);

}  // namespace plasticity
