// The loss and Adam for one entry, for the CPU and for the kernels.
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
PLASTICITY_HOST_DEVICE inline double scale_of(Reduction reduction, const SquaredSums& sums) {
  const double divisor = reduction == Reduction::mean  ? static_cast<double>(sums.count)
                         : reduction == Reduction::sum ? 1
                                                       : sums.power;
  return divisor == 0 ? 0 : 1 / divisor;
}

PLASTICITY_HOST_DEVICE inline float squared_gradient(double scale, float y, float target) {
  return static_cast<float>(2 * scale * (static_cast<double>(y) - static_cast<double>(target)));
}

/// The factor of the gradients if their norm exceeds max_norm.
PLASTICITY_HOST_DEVICE inline float clip_factor(double norm, double max_norm) {
  return static_cast<float>(max_norm / norm);
}

struct AdamConstants {
  float beta1, beta2, epsilon;
};

inline AdamConstants constants_of(const AdamOptions& options) {
  return {static_cast<float>(options.beta1), static_cast<float>(options.beta2),
          static_cast<float>(options.epsilon)};
}

PLASTICITY_HOST_DEVICE inline void adam_update(const AdamConstants& adam, const AdamScales& scales,
                                               float gradient, float& first, float& second, float& value) {
  first += (1 - adam.beta1) * (gradient - first);
  second += (1 - adam.beta2) * (gradient * gradient - second);
  value -= scales.rate * first / (std::sqrt(second) * scales.second + adam.epsilon);
}

}  // namespace plasticity
