#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.hpp"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/optimizer.hpp"

// The checks, the groups and the file format that Optimizer and Trainer share.

namespace plasticity {

/// Throw Error(invalid_argument) if a value is out of range.
void check_learning_rate(double value);
const OptimizerOptions& checked(const OptimizerOptions& options);

OptimizerOptions optimizer_of(const AdamOptions& options);

/// Sets the fields `rate` and `weight_decay` of the tensors from their groups. `names[k]` is the name of
/// `tensors[k]`.
void apply_groups(const OptimizerOptions& options, std::span<const std::string_view> names,
                  std::span<TrainedTensor> tensors);

/// The tensors of one group that clips, and its maximum norm.
struct ClippedGroup {
  double max_norm;
  std::vector<TrainedTensor> tensors{};
};

/// Returns the groups that clip their gradients, the parameters outside of groups first.
std::vector<ClippedGroup> clipped_groups(const OptimizerOptions& options,
                                         std::span<const std::string_view> names,
                                         std::span<const TrainedTensor> tensors);

/// Throws Error(invalid_argument) if a group has a name that does not exist. The message lists `names`, the
/// parameters that are trained.
void check_group_names(const OptimizerOptions& options, std::span<const std::string_view> names,
                       FunctionRef<bool(std::string_view)> exists);

/// Throws Error(invalid_argument) that names the parameter whose gradient is not finite.
[[noreturn]] void throw_not_finite(std::string_view name);

/// The moments of one parameter, in host memory. A moment that the method does not use is empty.
struct HostMoments {
  std::vector<float> first, second;
};

/// The optimizer's part of a checkpoint: the step count, the learning rate, and the moments by parameter
/// name.
struct OptimizerRecord {
  std::int64_t steps = 0;
  std::optional<double> learning_rate{};  // not in files of version 0.1
  std::map<std::string, HostMoments> moments{};
};

/// Stores the moments as "METHOD.NAME.m" and "METHOD.NAME.v", and metadata "METHOD.steps" and
/// "METHOD.learning_rate".
void write_record(const UpdateOptions& update, const OptimizerRecord& record, io::TensorFile& file);

/// Loads the record. Throws Error(format) if it is incomplete.
OptimizerRecord read_record(const UpdateOptions& update, const io::TensorFile& file);

}  // namespace plasticity
