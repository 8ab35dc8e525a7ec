#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/function_ref.hpp"
#include "plasticity/optimizer.hpp"

// The checks of options and the parameter groups that Optimizer and Trainer share.

namespace plasticity {

/// Throw Error(invalid_argument) if a value is out of range.
void check_learning_rate(double value);
const OptimizerOptions& checked(const OptimizerOptions& options);

OptimizerOptions optimizer_options_of(const AdamOptions& options);

/// Sets the fields `rate` and `weight_decay` of the tensors from their groups. `names[k]` is the name of
/// `tensors[k]`.
void apply_groups(const OptimizerOptions& options, std::span<const std::string_view> names,
                  std::span<TrainedTensor> tensors);

/// The tensors of one group that clips, and its maximum norm.
struct ClippedGroup {
  double max_norm;
  bool is_named;  // false: the parameters outside of groups
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

}  // namespace plasticity
