#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

// What a training iteration is made of beside a Plan's forward and backward: a loss, gradient clipping and
// Adam, on the caller's buffers. As Plan's, the calls only put work on the stream: they allocate nothing,
// wait for nothing and print nothing, so that a whole iteration can be captured in a CUDA graph. On the CPU
// they give the bits of mse_loss(), clip_gradients() and Adam::step(), which are made of them. (Trainer does
// all this for a Network.)
//
// Every pointer shows to memory of the device (on the CPU: any), of any alignment that its type allows; sizes
// are any, 0 too. Each call throws Error(invalid_argument) that names what is wrong, and then has done
// nothing; on a GPU also Error(unsupported | device_unavailable).
namespace plasticity {

/// Bytes of scratch that each call here needs: a few kilobytes on a GPU, none on the CPU.
PLASTICITY_API std::size_t training_scratch_bytes(Device device);

/// What the sum of squared errors is divided by.
enum class Reduction {
  mean,      ///< the number of entries that count
  sum,       ///< nothing
  relative,  ///< the sum of target^2 over them: 1 is the loss of answering zero
};

/// A squared error over the entries where the mask is not 0.
struct SquaredErrorArgs {
  std::int64_t elements = 0;              ///< of every tensor, >= 0
  const float* y = nullptr;               ///< what the network answers
  const float* target = nullptr;          ///< what it should
  const std::uint8_t* mask = nullptr;     ///< 0: the entry does not count; null: all do
  Reduction reduction = Reduction::mean;  ///< of the squares
  /// out: the gradient, 0 where an entry does not count; or null. May take the place of y or of target.
  float* dy = nullptr;
  double* loss = nullptr;  ///< [1] out, or null
};

/// The loss and its gradient. Where the reduction divides by zero (no entry counts, or all targets are 0),
/// both are 0.
PLASTICITY_API void squared_error(Device device, Stream stream, const SquaredErrorArgs& args,
                                  Scratch scratch);

/// A tensor that is trained, and what belongs to it.
struct TrainedTensor {
  float* value = nullptr;     ///< [elements]
  float* gradient = nullptr;  ///< [elements]
  float* first = nullptr;     ///< [elements] Adam's first moment, zero before the first step
  float* second = nullptr;    ///< [elements] Adam's second moment, likewise
  std::int64_t elements = 0;  ///< >= 0
};

/// Scales the gradients down so that their global 2-norm is at most `max_norm` > 0. `norm` [1], or null,
/// gives it as it was. A norm that is not a number scales nothing. Of the tensors only the gradients are
/// looked at.
PLASTICITY_API void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                                   double max_norm, double* norm, Scratch scratch);

/// The constants of Adam (Kingma and Ba 2015), under the names of the paper.
struct AdamOptions {
  double learning_rate = 1e-3;  ///< the paper's alpha, >= 0
  double beta1 = 0.9;           ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;         ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;        ///< > 0
};

/// What changes from step to step, the bias corrections in it.
struct AdamScales {
  float rate = 0;    ///< learning_rate / (1 - beta1^step)
  float second = 0;  ///< 1 / sqrt(1 - beta2^step)
};

/// Those of a step, counted from 1. Throws Error(invalid_argument) for a step below 1.
PLASTICITY_API AdamScales adam_scales(const AdamOptions& options, std::int64_t step);

/// A step of Adam: the moments move towards the gradient and its square, the value down. `scales` [1] is
/// memory of the device like everything else, so that a captured graph serves all steps: put the new ones
/// there before each. Of the options the learning rate is not looked at, it is in the scales.
PLASTICITY_API void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                              const AdamOptions& options, const AdamScales* scales);

}  // namespace plasticity
