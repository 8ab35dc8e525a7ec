#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "plasticity/io/safetensors.hpp"

namespace plasticity {

/// What Adam has to remember of a parameter, on the host.
struct HostMoments {
  std::vector<float> first, second;
};

/// What a checkpoint holds of an optimiser: the moments by the parameters' names.
struct AdamRecord {
  std::int64_t steps = 0;
  std::map<std::string, HostMoments> moments{};
};

/// The moments as "adam.NAME.m" and "adam.NAME.v", the steps as metadata "adam.steps".
void write_adam(const AdamRecord& record, io::TensorFile& file);

/// Throws Error(format) when they are not all there.
AdamRecord read_adam(const io::TensorFile& file);

}  // namespace plasticity
