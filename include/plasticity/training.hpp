#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstddef>
#include <cstdint>
#include <span>

#include "plasticity/config.h"
#include "plasticity/device.hpp"
#include "plasticity/memory.hpp"

// Losses, gradient clipping and the steps of the optimizers on the caller's buffers. Together with
// Plan::forward and Plan::backward they make a training iteration. Trainer runs such iterations for a
// Network. mse_loss(), softmax_cross_entropy() for views, clip_gradients() for ParameterViews and
// Optimizer::step() use these functions on the CPU.
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
  /// target as a whole.
  float* dy = nullptr;
  double* loss = nullptr;  ///< [1] out, optional: the loss
  /// B > 0: the tensors are [steps,batch,N], and the CPU adds the terms of each sample first, then the
  /// samples in the order of a fixed tree (see communicator.hpp). batch 0: it adds them in order. A GPU
  /// ignores both.
  std::int64_t batch = 0;
  std::int64_t steps = 0;  ///< T if `batch` is not 0
  double divisor = -1;     ///< if at least 0, this divisor replaces that of `reduction`
};

/// Computes the sum of (y - target)^2 over the unmasked entries, divided as `reduction` says, and its
/// gradient. If the divisor is 0 (all entries masked, or all targets 0), the loss and the gradient are 0.
PLASTICITY_API void squared_error(Device device, Stream stream, const SquaredErrorArgs& args,
                                  Scratch scratch);

/// Arguments of softmax_cross_entropy().
struct CrossEntropyArgs {
  std::int64_t rows = 0;                 ///< >= 0
  std::int64_t classes = 0;              ///< >= 1
  const float* logits = nullptr;         ///< [rows,classes], for example the pre-activations of a network
  const std::int64_t* labels = nullptr;  ///< [rows] 0 to classes-1; -1: the row is ignored
  float* dlogits = nullptr;  ///< [rows,classes] out, optional: gradient of the loss; must not overlap logits
  double* loss = nullptr;    ///< [1] out, optional: the loss in nats
  std::int64_t batch = 0;    ///< B > 0: the rows are [T,batch], added as in squared_error(). 0: in order
  double divisor = -1;       ///< if at least 0, it replaces the number of rows with a label
};

/// Computes the mean of -log softmax(logits)[label] over the rows with a label, and its gradient. If no row
/// has a label, the loss and the gradient are 0. Any other label outside 0 to classes-1 is an
/// Error(invalid_argument) on the CPU; on a GPU its row is ignored.
PLASTICITY_API void softmax_cross_entropy(Device device, Stream stream, const CrossEntropyArgs& args,
                                          Scratch scratch);

/// A trainable tensor with its gradient, the moments of its optimizer, and the options of its group.
struct TrainedTensor {
  float* value = nullptr;          ///< [elements] parameter values
  float* gradient = nullptr;       ///< [elements] gradient of the loss
  float* first = nullptr;          ///< [elements] first moment (or velocity), zero before the first step
  float* second = nullptr;         ///< [elements] second moment, zero before the first step
  std::int64_t elements = 0;       ///< size of every tensor, >= 0
  float learning_rate_factor = 1;  ///< factor of the learning rate
  /// A step first subtracts learning rate * learning_rate_factor * weight_decay * value from the value.
  float weight_decay = 0;
};

/// Scales the gradients so that their global 2-norm is at most `max_norm` > 0. Writes the norm before scaling
/// to `norm` [1], which may be null. If the norm is NaN or infinite, the gradients do not change. Uses only
/// the fields `gradient` and `elements` of each tensor.
PLASTICITY_API void clip_gradients(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                                   double max_norm, double* norm, Scratch scratch);

/// Writes the index of the first tensor whose gradient has a NaN or an infinity to `found` [1], or -1. Uses
/// only the fields `gradient` and `elements` of each tensor.
PLASTICITY_API void find_not_finite(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                                    std::int32_t* found);

/// The reaction of an optimizer to a gradient with a NaN or an infinity. In both cases no parameter and no
/// moment changes, and the step is not counted in steps().
enum class NotFinite {
  fail,  ///< throws Error(invalid_argument), whose message names the tensor
  skip,  ///< leaves the step out, and counts it in skipped()
};

/// The constants of Adam, with the names of the paper (Kingma and Ba 2015).
struct AdamOptions {
  double learning_rate = 1e-3;             ///< alpha in the paper, >= 0
  double beta1 = 0.9;                      ///< decay of the first moment, in [0, 1)
  double beta2 = 0.999;                    ///< decay of the second moment, in [0, 1)
  double epsilon = 1e-8;                   ///< added to the root of the second moment, > 0
  NotFinite not_finite = NotFinite::fail;  ///< ignored by adam_step()
};

/// The equations of an optimizer's step. g is the gradient, w the value and r the learning rate. For adam and
/// rmsprop a g beyond ±1.8e19, whose square is no finite float, counts as ±1.8e19.
enum class Method {
  adam,     ///< m += (1-beta1)(g-m), v += (1-beta2)(g^2-v), w -= r m' / (sqrt(v') + epsilon), bias-corrected
  sgd,      ///< m = momentum m + g, w -= r m
  rmsprop,  ///< v += (1-beta2)(g^2-v), m = momentum m + g / (sqrt(v) + epsilon), w -= r m
};

/// The constants of any optimizer. AdamW is Method::adam with a weight decay. The weight decay of every
/// method is decoupled from the gradient: w -= r weight_decay w before the step.
struct UpdateOptions {
  Method method = Method::adam;  ///< equations of the step
  double learning_rate = 1e-3;   ///< r, >= 0
  double beta1 = 0.9;            ///< adam: decay of the first moment, in [0, 1)
  double beta2 = 0.999;          ///< adam, rmsprop: decay of the second moment, in [0, 1)
  double epsilon = 1e-8;         ///< adam, rmsprop: added to the root of the second moment, > 0
  double momentum = 0;           ///< sgd, rmsprop: decay of the velocity, in [0, 1); 0: no velocity
};

/// Returns whether a step uses TrainedTensor::first. If not, the pointer may be null.
PLASTICITY_API bool uses_first_moment(const UpdateOptions& options);
/// Returns whether a step uses TrainedTensor::second. If not, the pointer may be null.
PLASTICITY_API bool uses_second_moment(const UpdateOptions& options);

/// The factors that change from step to step. They contain the learning rate and Adam's bias corrections.
struct UpdateScales {
  float learning_rate = 0;  ///< adam: learning_rate / (1 - beta1^step); others: learning_rate
  float second = 0;         ///< adam: 1 / sqrt(1 - beta2^step); others: 1
  float decay = 0;          ///< learning_rate
};

/// Returns the scales of a step. Steps are counted from 1; a step below 1 throws Error(invalid_argument).
PLASTICITY_API UpdateScales update_scales(const UpdateOptions& options, std::int64_t step);

/// Runs one step of an optimizer: decays each value, updates its moments, then the value. `scales` [1] is in
/// device memory, so one captured graph serves all steps: write the new scales there before each step.
/// options.learning_rate is ignored: the scales already contain it. `veto` [1] is null or the result of
/// find_not_finite(): if it is not -1, the call changes nothing.
PLASTICITY_API void update_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                                const UpdateOptions& options, const UpdateScales* scales,
                                const std::int32_t* veto = nullptr);

/// The scales of Adam.
using AdamScales = UpdateScales;
/// Returns the scales of a step of Adam. As update_scales().
PLASTICITY_API AdamScales adam_scales(const AdamOptions& options, std::int64_t step);
/// Runs one step of Adam. As update_step() with Method::adam.
PLASTICITY_API void adam_step(Device device, Stream stream, std::span<const TrainedTensor> tensors,
                              const AdamOptions& options, const AdamScales* scales);

}  // namespace plasticity
