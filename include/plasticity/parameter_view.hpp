#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>
#include <span>
#include <string>

#include "plasticity/arguments.hpp"

namespace plasticity {

/// Views of a trainable tensor and its gradient. The module that returns them owns the memory.
template <class Real>
struct BasicParameterView {
  std::string name;          ///< for example "w", "alpha" or "modulator.weight"
  Shape shape;               ///< shape of both views
  std::span<Real> value;     ///< row-major
  std::span<Real> gradient;  ///< backward adds to it
  /// A module's count of changes to its values, or null. An optimizer increments it, so that
  /// Network::backward() can refuse parameters that differ from those of forward().
  std::uint64_t* version = nullptr;
};
using ParameterView = BasicParameterView<float>;      ///< of the modules that optimizers train
using ParameterViewF64 = BasicParameterView<double>;  ///< of a NetworkF64

}  // namespace plasticity
