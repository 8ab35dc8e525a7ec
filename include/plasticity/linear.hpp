#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// A plain linear readout, y = x W + b, with W [inputs, outputs] and b [outputs], uniform in +-1/sqrt(inputs)
/// at first. Its parameters are called NAME.weight and NAME.bias.
class PLASTICITY_API Linear {
 public:
  /// Throws Error(invalid_argument) for a size below 1.
  Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name = "linear");

  std::int64_t inputs() const { return inputs_; }    ///< width of x
  std::int64_t outputs() const { return outputs_; }  ///< width of y

  /// x [rows, inputs] to y [rows, outputs]; any number of rows. Throws Error(invalid_argument) for sizes that
  /// do not fit.
  void forward(std::span<const float> x, std::span<float> y) const;

  /// Adds to the gradients of W and b; writes dx [rows, inputs] (empty: not wanted).
  void backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx);

  void zero_gradients();                    ///< backward adds to them
  std::vector<ParameterView> parameters();  ///< W and b, for the optimiser

 private:
  std::int64_t rows_of(std::span<const float> x, std::span<const float> y) const;
  std::int64_t inputs_, outputs_;
  std::string name_;
  std::vector<float> weight_, bias_, weight_gradient_, bias_gradient_;
};

}  // namespace plasticity
