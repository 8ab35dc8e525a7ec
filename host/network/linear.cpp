#include "plasticity/linear.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "cpu/sweeps/products.hpp"

namespace plasticity {

Linear::Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name)
    : inputs_(inputs), outputs_(outputs), name_(std::move(name)) {
  if (inputs < 1) bad_argument("inputs", "at least 1", str_cat(inputs));
  if (outputs < 1) bad_argument("outputs", "at least 1", str_cat(outputs));
  constexpr std::int64_t max_elements = std::numeric_limits<std::int64_t>::max() / sizeof(float);
  if (outputs > max_elements / inputs) {
    bad_argument("outputs", str_cat("at most ", max_elements / inputs, " for ", inputs, " inputs"),
                 str_cat(outputs));
  }
  weight_.resize(static_cast<std::size_t>(inputs * outputs));
  bias_.resize(static_cast<std::size_t>(outputs));
  weight_gradient_.resize(weight_.size());
  bias_gradient_.resize(bias_.size());
  Random random(seed);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  for (float& value : weight_) value = static_cast<float>(random.uniform(-bound, bound));
  for (float& value : bias_) value = static_cast<float>(random.uniform(-bound, bound));
}

std::int64_t Linear::checked_rows(std::span<const float> x, std::span<const float> y) const {
  const auto size = static_cast<std::int64_t>(x.size());
  if (size % inputs_ != 0)
    bad_argument("x", str_cat("rows of ", inputs_, " elements"), str_cat(size, " elements"));
  const std::int64_t rows = size / inputs_;
  if (static_cast<std::int64_t>(y.size()) != rows * outputs_) {
    bad_argument("y", str_cat(rows, " rows of ", outputs_, " elements"), str_cat(y.size(), " elements"));
  }
  return rows;
}

void Linear::forward(std::span<const float> x, std::span<float> y) const {
  const std::int64_t rows = checked_rows(x, y);
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy(bias_.begin(), bias_.end(), y.data() + row * outputs_);
  cpu::products<float>(cpu::instruction_set())
      .multiply(rows, outputs_, inputs_, x.data(), inputs_, weight_.data(), outputs_, y.data(), outputs_);
}

void Linear::backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx) {
  const std::int64_t rows = checked_rows(x, dy);
  if (!dx.empty() && dx.size() != x.size())
    bad_argument("dx", str_cat(x.size(), " elements"), str_cat(dx.size()));
  for (std::int64_t row = 0; row < rows; ++row) {
    const float *x_row = x.data() + row * inputs_, *dy_row = dy.data() + row * outputs_;
    for (std::int64_t k = 0; k < outputs_; ++k) bias_gradient_[static_cast<std::size_t>(k)] += dy_row[k];
    for (std::int64_t i = 0; i < inputs_; ++i) {
      const float* weights = weight_.data() + i * outputs_;
      float* gradients = weight_gradient_.data() + i * outputs_;
      float sum = 0;
      for (std::int64_t k = 0; k < outputs_; ++k) {
        gradients[k] += x_row[i] * dy_row[k];
        sum += weights[k] * dy_row[k];
      }
      if (!dx.empty()) dx[static_cast<std::size_t>(row * inputs_ + i)] = sum;
    }
  }
}

void Linear::zero_gradients() {
  std::fill(weight_gradient_.begin(), weight_gradient_.end(), 0.0f);
  std::fill(bias_gradient_.begin(), bias_gradient_.end(), 0.0f);
}

std::vector<ParameterView> Linear::parameters() {
  return {{name_ + ".weight", Shape{{inputs_, outputs_}, 2}, weight_, weight_gradient_},
          {name_ + ".bias", Shape{{outputs_}, 1}, bias_, bias_gradient_}};
}

}  // namespace plasticity
