#pragma once

#include "plasticity/training.hpp"

namespace plasticity {

/// Throw Error(invalid_argument) if a value is out of range.
void check_learning_rate(double value);
void check_adam_options(const AdamOptions& options);

}  // namespace plasticity
