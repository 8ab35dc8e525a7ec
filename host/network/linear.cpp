#include "plasticity/linear.hpp"

#include <algorithm>
#include <cmath>
#include <new>

#include "base/random.hpp"
#include "base/throw_error.hpp"
#include "cpu/sweeps/products.hpp"
#include "plasticity/owner.hpp"

namespace plasticity {

Linear::Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name)
    : inputs_(inputs), outputs_(outputs), name_(std::move(name)) {
  if (inputs < 1) bad_argument("inputs", "at least 1", str_cat(inputs));
  if (outputs < 1) bad_argument("outputs", "at least 1", str_cat(outputs));
  constexpr std::int64_t max_elements = std::int64_t{1} << 48;  // as for the tensors of a plan
  if (outputs > max_elements / inputs) {
    bad_argument("outputs", str_cat("at most ", max_elements / inputs, " for ", inputs, " inputs"),
                 str_cat(outputs));
  }
  try {
    weight_.resize(static_cast<std::size_t>(inputs * outputs));
    bias_.resize(static_cast<std::size_t>(outputs));
    weight_gradient_.resize(weight_.size());
    bias_gradient_.resize(bias_.size());
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory,
                str_cat(name_, ": no memory for a matrix of ", inputs, " x ", outputs));
  }
  Random random(seed);
  const double bound = 1 / std::sqrt(static_cast<double>(inputs));
  for (float& value : weight_) value = static_cast<float>(random.uniform(-bound, bound));
  for (float& value : bias_) value = static_cast<float>(random.uniform(-bound, bound));
}

std::int64_t Linear::checked_rows(std::span<const float> x, std::span<const float> y,
                                  const char* name_of_y) const {
  if (weight_.empty()) throw_moved_from("linear");
  const auto size = static_cast<std::int64_t>(x.size());
  if (size % inputs_ != 0)
    bad_argument("x", str_cat("rows of ", inputs_, " elements"), str_cat(size, " elements"));
  const std::int64_t rows = size / inputs_;
  if (static_cast<std::int64_t>(y.size()) != rows * outputs_) {
    bad_argument(name_of_y, str_cat(rows, " rows of ", outputs_, " elements"),
                 str_cat(y.size(), " elements"));
  }
  return rows;
}

void Linear::forward(std::span<const float> x, std::span<float> y) const {
  const std::int64_t rows = checked_rows(x, y, "y");
  for (std::int64_t row = 0; row < rows; ++row)
    std::copy(bias_.begin(), bias_.end(), y.data() + row * outputs_);
  cpu::products<float>(cpu::instruction_set())
      .multiply(rows, outputs_, inputs_, x.data(), inputs_, weight_.data(), outputs_, y.data(), outputs_);
}

void Linear::backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx) {
  const std::int64_t rows = checked_rows(x, dy, "dy");
  if (!dx.empty() && dx.size() != x.size())
    bad_argument("dx", str_cat(x.size(), " elements"), str_cat(dx.size()));
  const cpu::Products<float>& products = cpu::products<float>(cpu::instruction_set());
  std::vector<const float*> x_rows(static_cast<std::size_t>(rows)), dy_rows(x_rows.size());
  for (std::int64_t row = 0; row < rows; ++row) {
    const float* const dy_row = dy.data() + row * outputs_;
    for (std::int64_t k = 0; k < outputs_; ++k) bias_gradient_[static_cast<std::size_t>(k)] += dy_row[k];
    x_rows[static_cast<std::size_t>(row)] = x.data() + row * inputs_;
    dy_rows[static_cast<std::size_t>(row)] = dy_row;
  }
  products.outer(0, inputs_, outputs_, rows, x_rows.data(), dy_rows.data(), 0, weight_gradient_.data(),
                 outputs_);
  if (dx.empty()) return;
  std::vector<float> transposed(weight_.size());
  for (std::int64_t i = 0; i < inputs_; ++i) {
    for (std::int64_t k = 0; k < outputs_; ++k) {
      transposed[static_cast<std::size_t>(k * inputs_ + i)] =
          weight_[static_cast<std::size_t>(i * outputs_ + k)];
    }
  }
  std::fill(dx.begin(), dx.end(), 0.0f);
  products.multiply(rows, inputs_, outputs_, dy.data(), outputs_, transposed.data(), inputs_, dx.data(),
                    inputs_);
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
