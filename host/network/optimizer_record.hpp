#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "plasticity/io/safetensors.hpp"
#include "plasticity/optimizer.hpp"

// The file format that Optimizer and Trainer share.

namespace plasticity {

/// The optimizer's part of a checkpoint: the step count, the learning rate, and the moments by parameter
/// name.
struct OptimizerRecord {
  using Moments = Optimizer::Moments;  // of one parameter; one that the method does not use is empty
  std::int64_t steps = 0;
  std::optional<double> learning_rate{};  // not in files from before version 0.1
  std::map<std::string, Moments> moments{};
};

/// Stores the moments as "METHOD.NAME.m" and "METHOD.NAME.v", and metadata "METHOD.steps" and
/// "METHOD.learning_rate".
void write_optimizer_record(const UpdateOptions& update, const OptimizerRecord& record, io::TensorFile& file);

/// Loads the record. Throws Error(format) if it is incomplete.
OptimizerRecord read_optimizer_record(const UpdateOptions& update, const io::TensorFile& file);

}  // namespace plasticity
