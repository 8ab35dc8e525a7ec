#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "plasticity/config.h"
#include "plasticity/io/safetensors.hpp"
#include "plasticity/parameter_view.hpp"

namespace plasticity {

/// A linear layer on the CPU, y = x W + b, with W [inputs, outputs] and b [outputs]. Initial parameters are
/// uniform in +-1/sqrt(inputs). Their names are NAME.weight and NAME.bias.
class PLASTICITY_API Linear {
 public:
  /// Throws Error(invalid_argument) if a size is below 1 or W has more than 2^48 elements, and
  /// Error(out_of_memory).
  Linear(std::int64_t inputs, std::int64_t outputs, std::uint64_t seed, std::string name = "linear");

  std::int64_t inputs() const { return inputs_; }    ///< width of x
  std::int64_t outputs() const { return outputs_; }  ///< width of y

  /// Computes y [rows, outputs] from x [rows, inputs]. The number of rows follows from the size of x. y must
  /// not overlap x. Throws Error(invalid_argument) if the sizes do not match.
  void forward(std::span<const float> x, std::span<float> y) const;

  /// Adds the gradients of W and b, and writes dx [rows, inputs] unless dx is empty. dy is [rows, outputs].
  /// dx must not overlap x or dy. Throws Error(invalid_argument) if the sizes do not match.
  void backward(std::span<const float> x, std::span<const float> dy, std::span<float> dx);

  void zero_gradients();                    ///< sets the gradients of W and b to zero
  std::vector<ParameterView> parameters();  ///< views of W and b, valid as long as this object

  /// Stores W and b in `file` as "param.NAME.weight" and "param.NAME.bias". Throws Error(invalid_argument)
  /// and changes nothing if the file has one of these tensors.
  void save(io::TensorFile& file) const;
  /// Loads W and b from a file that save() wrote. Throws Error(format) and changes nothing if one is missing
  /// or has another shape.
  void load(const io::TensorFile& file);

 private:
  std::int64_t checked_rows(std::span<const float> x, std::span<const float> y, const char* name_of_y) const;
  std::int64_t inputs_, outputs_;
  std::string name_;
  std::vector<float> weight_, bias_, weight_gradient_, bias_gradient_;
};

}  // namespace plasticity
