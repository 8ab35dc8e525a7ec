#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace plasticity {

/// Returns the number of labels other than -1. Throws Error(invalid_argument) unless each is -1 or a class.
std::size_t count_labels(std::span<const std::int64_t> labels, std::int64_t classes);

}  // namespace plasticity
