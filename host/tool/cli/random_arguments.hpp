#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "plasticity/arguments.hpp"

// Arguments for timing a plan.
namespace plasticity::cli {

/// Host memory for tensors, filled with random numbers or zeros. Pointers stay valid.
template <class Real>
class Tensors {
 public:
  Real* random(std::int64_t size, double scale) {
    std::vector<Real>& values = storage_.emplace_back(static_cast<std::size_t>(size));
    for (Real& value : values) value = static_cast<Real>(random_.uniform(-scale, scale));
    return values.data();
  }
  Real* zeros(std::int64_t size) { return storage_.emplace_back(static_cast<std::size_t>(size)).data(); }
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const std::vector<Real>& values : storage_) sum += values.size() * sizeof(Real);
    return sum;
  }

 private:
  Random random_{1};
  std::vector<std::vector<Real>> storage_;
};

/// The arguments of forward and backward: random tensors, and zeros for the outputs.
template <class Real>
struct RandomArguments {
  Tensors<Real> tensors{};
  ForwardArgs<Real> forward{};
  BackwardArgs<Real> backward{};

  RandomArguments(const Spec& spec, std::int64_t T, std::int64_t B) {
    add_parameters(spec);
    add_inputs(spec, T, B);
    for (const auto& member : State<Real>::members()) {
      const auto shape = state_shape(spec, B, member.name);
      if (!shape) continue;
      forward.final_state.*member.pointer = tensors.zeros(shape->elements());
      backward.dinitial_state.*member.pointer = tensors.zeros(shape->elements());
    }
    forward.y = tensors.zeros(T * B * spec.neurons);
    backward.dy = tensors.random(T * B * spec.neurons, 1);
  }

 private:
  void add_parameters(const Spec& spec) {
    for (const auto& member : Parameters<const Real>::members()) {
      const auto shape = parameter_shape(spec, member.name);
      if (!shape) continue;
      const double scale = member.name == "eta" ? 0.1 : 1 / std::sqrt(static_cast<double>(spec.neurons));
      forward.parameters.*member.pointer = tensors.random(shape->elements(), scale);
    }
    for (const auto& member : Parameters<Real>::members()) {
      const auto shape = parameter_shape(spec, member.name);
      if (shape) backward.dparameters.*member.pointer = tensors.zeros(shape->elements());
    }
  }

  void add_inputs(const Spec& spec, std::int64_t T, std::int64_t B) {
    for (const auto& member : Inputs<const Real>::members()) {
      const auto shape = input_shape(spec, T, B, member.name);
      if (member.name == "u" && forward.inputs.x != nullptr) continue;  // x or u, not both
      if (shape)
        forward.inputs.*member.pointer = tensors.random(shape->elements(), member.name == "rate" ? 0.1 : 1);
    }
    for (const auto& member : Inputs<Real>::members()) {
      const auto shape = input_shape(spec, T, B, member.name);
      if (member.name == "u" && forward.inputs.x != nullptr) continue;
      if (shape) backward.dinputs.*member.pointer = tensors.zeros(shape->elements());
    }
  }
};

}  // namespace plasticity::cli
