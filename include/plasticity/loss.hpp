#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <span>

#include "plasticity/config.h"

namespace plasticity {

/// Returns the mean of (y - target)^2 over the entries whose `mask` is not 0; an empty mask includes all
/// entries. Writes the gradient, 2 (y - target) / count, to `dy` unless `dy` is empty. The gradient of a
/// masked-out entry is 0. If every entry is masked out, the loss and the gradient are 0. `dy` may alias y or
/// target as a whole. All non-empty views have the same size; otherwise the function throws
/// Error(invalid_argument).
PLASTICITY_API double mse_loss(std::span<const float> y, std::span<const float> target, std::span<float> dy,
                               std::span<const std::uint8_t> mask = {});

/// Returns the mean softmax cross-entropy of `logits` [rows, classes] against `labels` [rows], in nats. A row
/// whose label is -1 is ignored. Writes the gradient to `dlogits` [rows, classes] unless `dlogits` is empty.
/// Throws Error(invalid_argument) if sizes do not match, `dlogits` overlaps `logits`, or a label is
/// out of range.
PLASTICITY_API double softmax_cross_entropy(std::span<const float> logits,
                                            std::span<const std::int64_t> labels, std::int64_t classes,
                                            std::span<float> dlogits);

}  // namespace plasticity
