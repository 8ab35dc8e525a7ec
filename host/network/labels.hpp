#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plasticity {

/// Returns the number of labels other than -1. Throws Error(invalid_argument) unless each is -1 or a class.
std::size_t count_labels(std::span<const std::int64_t> labels, std::int64_t classes);

/// Returns the sum of the cross-entropies of the rows [T,B], the samples in the order of base/tree.hpp.
/// `dlogits` is empty or receives the gradient of the sum divided by `count`; rows without a label are zero.
double cross_entropy_sum(std::span<const float> logits, std::span<const std::int64_t> labels,
                         std::int64_t classes, std::int64_t batch, double count, std::span<float> dlogits);

}  // namespace plasticity
