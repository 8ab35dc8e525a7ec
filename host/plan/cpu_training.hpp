#pragma once

#include <span>

#include "plasticity/training.hpp"

// The functions of training.hpp on the CPU, for checked arguments. host/cpu/training.cpp implements them.
namespace plasticity::cpu {

void squared_error(const SquaredErrorArgs& args);
void clip_gradients(std::span<const TrainedTensor> tensors, double max_norm, double* norm);
void adam_step(std::span<const TrainedTensor> tensors, const AdamOptions& options, const AdamScales& scales);

}  // namespace plasticity::cpu
