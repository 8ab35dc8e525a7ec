#pragma once

#include <cstddef>
#include <span>

#include "plasticity/training.hpp"

// The calls of plasticity/training.hpp on a GPU. Sizes and what must be there are checked already; here it is
// seen whether a pointer is the device's.
namespace plasticity::cuda {

std::size_t training_scratch();
void run_squared_error(int index, Stream stream, const SquaredErrorArgs& args, Scratch scratch);
void run_clip_gradients(int index, Stream stream, std::span<const TrainedTensor> tensors, double most,
                        double* norm, Scratch scratch);
void run_adam_step(int index, Stream stream, std::span<const TrainedTensor> tensors,
                   const AdamOptions& options, const AdamScales* scales);

}  // namespace plasticity::cuda
