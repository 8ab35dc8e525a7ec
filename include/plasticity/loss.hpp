#pragma once

#include <cstdint>
#include <span>

#include "plasticity/config.h"

namespace plasticity {

/// Mean squared error over the entries where `mask` is not 0 (empty: over all): the mean of (y - target)^2.
/// Writes its gradient, 2 (y - target) / count, to `dy` (0 where masked out; empty: not wanted). All views
/// have one size. With no entry to count, the loss and the gradient are 0. Throws Error(invalid_argument) for
/// sizes that differ.
PLASTICITY_API double mse_loss(std::span<const float> y, std::span<const float> target, std::span<float> dy,
                               std::span<const std::uint8_t> mask = {});

/// Mean softmax cross-entropy of `logits` [rows, classes] against `labels` [rows], in nats. A label of -1
/// leaves its row out. Writes the gradient to `dlogits` (empty: not wanted). Throws Error(invalid_argument)
/// for sizes that differ and labels out of range.
PLASTICITY_API double softmax_cross_entropy(std::span<const float> logits,
                                            std::span<const std::int64_t> labels, std::int64_t classes,
                                            std::span<float> dlogits);

}  // namespace plasticity
