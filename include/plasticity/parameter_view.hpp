#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <span>
#include <string>

#include "plasticity/arguments.hpp"

namespace plasticity {

/// Views of a trainable tensor and its gradient. The module that returns them owns the memory.
struct ParameterView {
  std::string name;           ///< for example "w", "alpha" or "modulator.weight"
  Shape shape;                ///< shape of both views
  std::span<float> value;     ///< row-major
  std::span<float> gradient;  ///< backward adds to it
  /// A module's count of changes to its values, or null. An optimiser increments it, so that
  /// Network::backward() can refuse parameters that differ from those of forward().
  std::uint64_t* version = nullptr;
};

}  // namespace plasticity
