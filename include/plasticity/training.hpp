#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

// Squared error, gradient clipping and Adam on the caller's buffers. Together with Plan::forward and
// Plan::backward they make a training iteration. Trainer runs such iterations for a Network. mse_loss(),
// clip_gradients() for ParameterViews and Adam::step() use these functions on the CPU.
//
// Every pointer argument points to memory of `device`, with the natural alignment of its type. Sizes may be
// 0. On a GPU a call enqueues its work on the stream and returns. It does not allocate, synchronise or print,
// so a whole iteration can be captured in a CUDA graph. Each call throws Error(invalid_argument) for a bad
// argument, and on a GPU also Error(unsupported | device_unavailable). A call that throws has changed
// nothing.
namespace plasticity {

/// Returns the scratch size in bytes of the calls below: a few kilobytes on a GPU, 0 on the CPU.
PLASTICITY_API std::size_t training_scratch_bytes(Device device);

/// The divisor of the sum of squared errors.
enum class Reduction {
  mean,      ///< the number of unmasked entries
  sum,       ///< 1
  relative,  ///< the sum of target^2 over the unmasked entries; an output of zero then has loss 1
};

/// Arguments of squared_error().
struct SquaredErrorArgs {
  std::int64_t elements = 0;              ///< size of every tensor, >= 0
  const float* y = nullptr;               ///< [elements] outputs of the network
  const float* target = nullptr;          ///< [elements] targets
  const std::uint8_t* mask = nullptr;     ///< [elements] 0: the entry is ignored. Null: no entry is ignored
  Reduction reduction = Reduction::mean;  ///< divisor of the loss
  /// [elements] out, optional: gradient of the loss with respect to y, 0 for ignored entries. May alias y or
  /// target.
  float* dy = nullptr;
  double* loss = nullptr;  ///< [1] out, optional: the loss
};

/// Computes the sum of (y - target)^2 over the unmasked entries, divided as `reduction` says, and its
/// gradient. If the divisor is 0 (all entries masked, or all targets 0), the loss and the gradient are 0.
PLASTICITY_API void squared_error(Device device, Stream stream, const SquaredErrorArgs& args,
                                  Scratch scratch);

/// A trainable tensor with its gradient and Adam's moments.
struct TrainedTensor {
  float* value = nullptr;     ///< [elements] parameter values
  float* gradient = nullptr;  ///< [elements] gradient of the loss
  float* first = nullptr;     ///< [elements] Adam's first moment, zero before the first step
  float* second = nullptr;    ///< [elements] Adam's second moment, zero before the first step
  std::int64_t elements = 0;  ///< size of every tensor, >= 0
};

/// Scales the gradients so that their global 2-norm is at most `max_norm` > 0. Writes the norm before scaling
/// to `norm` [1], which may be null. If the norm is NaN, the gradients do not change. Of each tensor only
/// `gradient` and `elements` are used.
PLASTICITY_API void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                                   double max_norm, double* norm, Scratch scratch);

/// The constants of Adam, with the names of the paper (Kingma and Ba 2015).
struct AdamOptions {
  double learning_rate = 1e-3;  ///< alpha in the paper, >= 0
  double beta1 = 0.9;           ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;         ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;        ///< added to the root of the second moment, > 0
};

/// The factors of Adam that change from step to step. They contain the learning rate and the bias
/// corrections.
struct AdamScales {
  float rate = 0;    ///< learning_rate / (1 - beta1^step)
  float second = 0;  ///< 1 / sqrt(1 - beta2^step)
};

/// Returns the scales of a step. Steps are counted from 1; a step below 1 throws Error(invalid_argument).
PLASTICITY_API AdamScales adam_scales(const AdamOptions& options, std::int64_t step);

/// Runs one step of Adam: updates the moments of each tensor, then its value. `scales` [1] is in device
/// memory, so one captured graph serves all steps: write the new scales there before each step.
/// options.learning_rate is ignored: the scales already contain it.
PLASTICITY_API void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                              const AdamOptions& options, const AdamScales* scales);

}  // namespace plasticity
