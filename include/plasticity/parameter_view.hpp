#pragma once

#include <span>
#include <string>

#include "plasticity/arguments.hpp"

namespace plasticity {

/// A trainable tensor and its gradient. Both views point into the memory of the module that owns them.
struct ParameterView {
  std::string name;           ///< for example "w", "alpha", "modulator.weight"
  Shape shape;                ///< of both views
  std::span<float> value;     ///< row-major
  std::span<float> gradient;  ///< backward adds to it
};

}  // namespace plasticity
