#pragma once

#include <cstddef>
#include <span>

#include "plasticity/linear.hpp"
#include "plasticity/training.hpp"

// The calls of plasticity/training.hpp and plasticity/linear.hpp on a GPU. Sizes and required tensors are
// already checked; these functions check that pointers belong to the device.
namespace plasticity::cuda {

std::size_t training_scratch_bytes();
void run_squared_error(int index, Stream stream, const SquaredErrorArgs& args, Scratch scratch);
void run_softmax_cross_entropy(int index, Stream stream, const CrossEntropyArgs& args, Scratch scratch);
void run_clip_gradients(int index, Stream stream, std::span<const TrainedTensor> tensors, double max_norm,
                        double* norm, Scratch scratch);
void run_find_not_finite(int index, Stream stream, std::span<const TrainedTensor> tensors,
                         std::int32_t* found);
void run_update_step(int index, Stream stream, std::span<const TrainedTensor> tensors,
                     const UpdateOptions& options, const UpdateScales* scales, const std::int32_t* veto);
std::size_t linear_scratch_bytes(int index, std::int64_t inputs, std::int64_t outputs);
void run_linear_forward(int index, Stream stream, const LinearArgs& args);
void run_linear_backward(int index, Stream stream, const LinearGradientArgs& args, Scratch scratch);

}  // namespace plasticity::cuda
