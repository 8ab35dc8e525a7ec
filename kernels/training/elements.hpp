// The loss and the optimizers for one entry, for the CPU and for the kernels.
#pragma once

#include <cmath>
#include <cstdint>

#include "plasticity/training.hpp"
#include "rules/arithmetic.hpp"

namespace plasticity {

/// The sums over the unmasked entries.
struct SquaredSums {
  double error, power;
  std::int64_t count;

  PLASTICITY_HOST_DEVICE void operator+=(const SquaredSums& other) {
    error += other.error;
    power += other.power;
    count += other.count;
  }
};

PLASTICITY_HOST_DEVICE inline SquaredSums squared(float y, float target) {
  const double difference = static_cast<double>(y) - static_cast<double>(target);
  return {difference * difference, static_cast<double>(target) * static_cast<double>(target), 1};
}

/// The factor of the sum of errors in the loss.
PLASTICITY_HOST_DEVICE inline double scale_of(const SquaredErrorArgs& args, const SquaredSums& sums) {
  const double divisor = args.divisor >= 0                   ? args.divisor
                         : args.reduction == Reduction::mean ? static_cast<double>(sums.count)
                         : args.reduction == Reduction::sum  ? 1
                                                             : sums.power;
  return divisor == 0 ? 0 : 1 / divisor;
}

PLASTICITY_HOST_DEVICE inline float squared_gradient(double scale, float y, float target) {
  return static_cast<float>(2 * scale * (static_cast<double>(y) - static_cast<double>(target)));
}

/// The sums over the rows with a label.
struct CrossEntropySums {
  double loss;
  std::int64_t count;

  PLASTICITY_HOST_DEVICE void operator+=(const CrossEntropySums& other) {
    loss += other.loss;
    count += other.count;
  }
};

/// A row of logits: the largest, and the sum of e^(logit - largest).
struct SoftmaxRow {
  float largest;
  double sum;
};

PLASTICITY_HOST_DEVICE inline double exp_below(float logit, float largest) {
  return std::exp(static_cast<double>(logit) - static_cast<double>(largest));
}

/// -log softmax of a logit.
PLASTICITY_HOST_DEVICE inline double entropy_of(const SoftmaxRow& row, float logit) {
  return std::log(row.sum) - (static_cast<double>(logit) - static_cast<double>(row.largest));
}

/// The gradient of a logit.
PLASTICITY_HOST_DEVICE inline float entropy_gradient(const SoftmaxRow& row, float logit, bool is_label,
                                                     double divisor) {
  const double probability = exp_below(logit, row.largest) / row.sum;
  return static_cast<float>((probability - (is_label ? 1 : 0)) / divisor);
}

/// The divisor of the sum of cross-entropies. `count`: rows with a label.
PLASTICITY_HOST_DEVICE inline double divisor_of(const CrossEntropyArgs& args, std::int64_t count) {
  return args.divisor >= 0 ? args.divisor : static_cast<double>(count);
}

/// Whether gradients of this norm are scaled. Those with a NaN or an infinity are not: the factor would be
/// NaN or 0 and hide them.
PLASTICITY_HOST_DEVICE inline bool exceeds(double norm, double max_norm) {
  return norm > max_norm && norm - norm == 0;
}

/// The factor of the gradients if their norm exceeds max_norm.
PLASTICITY_HOST_DEVICE inline float clip_factor(double norm, double max_norm) {
  return static_cast<float>(max_norm / norm);
}

/// False for NaN and the infinities, whose difference from themselves is NaN.
PLASTICITY_HOST_DEVICE inline bool is_finite(float value) { return value - value == 0; }

/// The constants of UpdateOptions in the precision of the step.
struct OptimizerConstants {
  float beta1, beta2, epsilon, momentum;
};

inline OptimizerConstants constants_of(const UpdateOptions& options) {
  return {static_cast<float>(options.beta1), static_cast<float>(options.beta2),
          static_cast<float>(options.epsilon), static_cast<float>(options.momentum)};
}

/// Which moments a step has. The arrays of the others are not touched.
template <Method method, bool momentum>
constexpr bool has_first = method == Method::adam || momentum;
template <Method method>
constexpr bool has_second = method != Method::sgd;

/// One step of one element. `rate` and `decay` are those of its tensor, times the scales.
template <Method method, bool momentum>
PLASTICITY_HOST_DEVICE inline void update_element(const OptimizerConstants& constants, float rate,
                                                  float second_scale, float decay, float gradient,
                                                  float& first, float& second, float& value) {
  if (decay != 0) value -= decay * value;
  if constexpr (has_second<method>) {
    // The square of a larger gradient is infinite, and the moments after it would be NaN. The step divides by
    // the moment's root, so it hardly depends on the bound.
    gradient = clamp(gradient, 1.8446743e19f);
    second += (1 - constants.beta2) * (gradient * gradient - second);
  }
  if constexpr (method == Method::adam) {
    first += (1 - constants.beta1) * (gradient - first);
    value -= rate * first / (std::sqrt(second) * second_scale + constants.epsilon);
  } else {
    float change = gradient;
    if constexpr (method == Method::rmsprop) change = gradient / (std::sqrt(second) + constants.epsilon);
    if constexpr (momentum) change = first = constants.momentum * first + change;
    value -= rate * change;
  }
}

/// Calls run<method, momentum>() for the options' method.
template <class Run>
void dispatch_update(const UpdateOptions& options, Run run) {
  const bool momentum = options.momentum != 0;
  switch (options.method) {
    case Method::adam: return run.template operator()<Method::adam, false>();
    case Method::sgd:
      return momentum ? run.template operator()<Method::sgd, true>()
                      : run.template operator()<Method::sgd, false>();
    case Method::rmsprop:
      return momentum ? run.template operator()<Method::rmsprop, true>()
                      : run.template operator()<Method::rmsprop, false>();
  }
}

}  // namespace plasticity
