#pragma once

#include <span>

#include "plasticity/linear.hpp"
#include "plasticity/training.hpp"

// The functions of training.hpp and linear.hpp on the CPU, for checked arguments. host/cpu/training.cpp and
// host/cpu/linear.cpp implement them.
namespace plasticity {

/// Throws Error(invalid_argument) unless `batch` is 0 or divides the rows.
void check_linear_batch(const LinearGradientArgs& args);

}  // namespace plasticity

namespace plasticity::cpu {

void squared_error(const SquaredErrorArgs& args);
void softmax_cross_entropy(const CrossEntropyArgs& args);
void clip_gradients(std::span<const TrainedTensor> tensors, double max_norm, double* norm);
std::int32_t find_not_finite(std::span<const TrainedTensor> tensors);
void update_step(std::span<const TrainedTensor> tensors, const UpdateOptions& options,
                 const UpdateScales& scales);
void linear_forward(const LinearArgs& args);
void linear_backward(const LinearGradientArgs& args);

}  // namespace plasticity::cpu
