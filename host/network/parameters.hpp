#pragma once

#include <string_view>
#include <vector>

#include "plasticity/arguments.hpp"
#include "plasticity/io/safetensors.hpp"

namespace plasticity {

/// A parameter of a network and its gradient, on the host.
struct Parameter {
  std::string_view name;
  Shape shape;
  const float* Parameters<const float>::*value_member;
  float* Parameters<float>::*gradient_member;
  std::vector<float> value, gradient;
  bool trainable = true;
};

/// The parameters that a Spec has, with their initial values (see Network).
std::vector<Parameter> initial_parameters(const Spec& spec, std::uint64_t seed);

/// The values, as "param.NAME" in a file. Loading throws Error(format) and changes nothing when one is
/// missing or has another shape.
void save_parameters(const std::vector<Parameter>& parameters, io::TensorFile& file);
void load_parameters(std::vector<Parameter>& parameters, const io::TensorFile& file);

}  // namespace plasticity
