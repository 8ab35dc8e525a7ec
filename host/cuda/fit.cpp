#include "cuda/fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <tuple>

namespace plasticity::cuda {
namespace {

constexpr std::size_t count = std::tuple_size_v<std::remove_cvref_t<decltype(DeviceConstants::members())>>;
using Vector = std::array<double, count>;
using Matrix = std::array<Vector, count>;

/// log(estimate / measured): forward and backward of each observation.
std::vector<double> errors_of_times(const std::vector<Observation>& observations, const DeviceLimits& limits,
                                    const DeviceConstants& constants) {
  std::vector<double> all;
  all.reserve(2 * observations.size() + count);
  for (const Observation& each : observations) {
    const CostModel model(each.spec, each.sizes, limits, constants);
    const Estimate estimate = estimate_of(model, each.candidate);
    all.push_back(std::log(estimate.forward / each.measured.forward));
    all.push_back(std::log(estimate.backward / each.measured.backward));
  }
  return all;
}

/// The errors of the times, and the distances of the constants from `start`.
struct Residuals {
  const std::vector<Observation>& observations;
  const DeviceLimits& limits;
  const DeviceConstants& start;

  std::vector<double> operator()(const DeviceConstants& constants) const {
    std::vector<double> all = errors_of_times(observations, limits, constants);
    for (const auto& member : DeviceConstants::members())
      all.push_back(member.prior_weight * std::log(constants.*member.pointer / start.*member.pointer));
    return all;
  }
};

double sum_of_squares(const std::vector<double>& values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

/// Each constant multiplied by exp(step).
DeviceConstants moved(const DeviceConstants& constants, const Vector& steps) {
  DeviceConstants result = constants;
  const auto& members = DeviceConstants::members();
  for (std::size_t k = 0; k < count; ++k) result.*members[k].pointer *= std::exp(steps[k]);
  return result;
}

/// Solves A x = b for a symmetric positive definite A, by Cholesky's factorization.
Vector solve(Matrix A, Vector b) {
  for (std::size_t j = 0; j < count; ++j) {
    for (std::size_t k = 0; k < j; ++k) A[j][j] -= A[j][k] * A[j][k];
    A[j][j] = std::sqrt(A[j][j]);
    for (std::size_t i = j + 1; i < count; ++i) {
      for (std::size_t k = 0; k < j; ++k) A[i][j] -= A[i][k] * A[j][k];
      A[i][j] /= A[j][j];
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t k = 0; k < i; ++k) b[i] -= A[i][k] * b[k];
    b[i] /= A[i][i];
  }
  for (std::size_t i = count; i-- > 0;) {
    for (std::size_t k = i + 1; k < count; ++k) b[i] -= A[k][i] * b[k];
    b[i] /= A[i][i];
  }
  return b;
}

/// The normal equations of the residuals' linearization: Jᵀ J, and −Jᵀ r.
struct NormalEquations {
  Matrix matrix{};
  Vector descent{};

  NormalEquations(const Residuals& residuals, const DeviceConstants& constants,
                  const std::vector<double>& at) {
    constexpr double difference = 1e-5;
    std::array<std::vector<double>, count> jacobian;
    for (std::size_t k = 0; k < count; ++k) {
      Vector step{};
      step[k] = difference;
      jacobian[k] = residuals(moved(constants, step));
      for (std::size_t i = 0; i < at.size(); ++i) jacobian[k][i] = (jacobian[k][i] - at[i]) / difference;
    }
    for (std::size_t a = 0; a < count; ++a) {
      for (std::size_t b = 0; b < count; ++b)
        matrix[a][b] = std::inner_product(jacobian[a].begin(), jacobian[a].end(), jacobian[b].begin(), 0.0);
      descent[a] = -std::inner_product(jacobian[a].begin(), jacobian[a].end(), at.begin(), 0.0);
    }
  }
};

}  // namespace

double log_error(const std::vector<Observation>& observations, const DeviceLimits& limits,
                 const DeviceConstants& constants) {
  const std::vector<double> all = errors_of_times(observations, limits, constants);
  return all.empty() ? 0 : std::sqrt(sum_of_squares(all) / static_cast<double>(all.size()));
}

DeviceConstants fit_constants(const std::vector<Observation>& observations, const DeviceLimits& limits,
                              const DeviceConstants& start) {
  constexpr int max_iterations = 200;
  constexpr double max_damping = 1e9, min_damping = 1e-12, largest_step = 0.5;
  const Residuals residuals{observations, limits, start};
  DeviceConstants best = start;
  std::vector<double> at = residuals(best);
  double damping = 1e-2;
  for (int iteration = 0; iteration < max_iterations && damping < max_damping; ++iteration) {
    const NormalEquations equations(residuals, best, at);
    bool better = false;
    while (!better && damping < max_damping) {
      Matrix damped = equations.matrix;
      for (std::size_t k = 0; k < count; ++k) damped[k][k] += damping * (damped[k][k] + 1e-6);
      Vector step = solve(damped, equations.descent);
      for (double& each : step) each = std::clamp(each, -largest_step, largest_step);
      const DeviceConstants next = moved(best, step);
      std::vector<double> there = residuals(next);
      better = sum_of_squares(there) < sum_of_squares(at);
      if (better) {
        best = next;
        at = std::move(there);
      }
      damping = better ? std::max(damping / 5, min_damping) : damping * 4;
    }
  }
  return best;
}

}  // namespace plasticity::cuda
