#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>

#include "plasticity/config.h"

namespace plasticity {

/// The shape of a Schedule after its warm-up.
enum class Decay {
  constant,  ///< the learning rate does not change
  cosine,    ///< half a cosine from `learning_rate` to `final_learning_rate` at step `steps`
  step,      ///< times `factor` after every `interval` steps
};

/// The learning rate of each step of a training run. Use it as
/// `optimizer.set_learning_rate(schedule.at(optimizer.steps()))` before each step.
struct PLASTICITY_API Schedule {
  double learning_rate = 1e-3;    ///< learning rate after the warm-up, >= 0
  Decay decay = Decay::constant;  ///< shape after the warm-up
  std::int64_t warm_up = 0;  ///< steps that raise it linearly: step t has learning_rate * (t + 1) / warm_up
  std::int64_t steps = 0;    ///< cosine: the whole run, with the warm-up; then the rate stays at its end
  double final_learning_rate = 0;  ///< cosine: learning rate at the end, >= 0
  std::int64_t interval = 1;  ///< step: steps between two changes, counted from the end of the warm-up, >= 1
  double factor = .1;         ///< step: factor of each change, > 0

  /// Returns the learning rate of step `step`, counted from 0. Throws Error(invalid_argument) for a negative
  /// step or a field out of range.
  double at(std::int64_t step) const;
};

}  // namespace plasticity
