#include "plasticity/arguments.hpp"

namespace plasticity {

std::optional<Shape> parameter_shape(const Spec& spec, std::string_view name) {
  const std::int64_t I = spec.inputs, N = spec.neurons, P = spec.presynaptic(), G = spec.gates();
  const auto vector = [](std::int64_t size) { return Shape{{size}, 1}; };
  const auto matrix = [](std::int64_t rows, std::int64_t columns) { return Shape{{rows, columns}, 2}; };
  const bool has_projection = spec.is_recurrent() && spec.inputs > 0;

  if (name == "w_in" && has_projection) return matrix(I, G * N);
  if (name == "b" && has_projection) return vector(G * N);
  if (name == "w") return matrix(P, N);
  if (name == "w_gates" && spec.cell == Cell::lstm) return matrix(N, 3 * N);
  if (name == "alpha") {
    if (spec.alpha == Granularity::connection) return matrix(P, N);
    return vector(spec.alpha == Granularity::post ? N : 1);
  }
  if (name == "eta" && spec.has_eta()) return vector(1);
  if (name == "modulator.weight" && spec.has_modulator()) return vector(N);
  if (name == "modulator.bias" && spec.has_modulator()) return vector(1);
  if (name == "fan_out.weight" && spec.rate == Rate::fan_out) return vector(N);
  if (name == "fan_out.bias" && spec.rate == Rate::fan_out) return vector(N);
  return std::nullopt;
}

std::optional<Shape> input_shape(const Spec& spec, std::int64_t steps, std::int64_t batch,
                                 std::string_view name) {
  const auto sequence = [&](std::int64_t width) { return Shape{{steps, batch, width}, 3}; };
  const bool feedforward = spec.cell == Cell::feedforward;
  if (name == "x" && !feedforward && spec.inputs > 0) return sequence(spec.inputs);
  if (name == "u" && (feedforward || spec.inputs == 0)) return sequence(spec.neurons);
  if (name == "pre" && feedforward) return sequence(spec.inputs);
  if (name == "rate" && spec.rate == Rate::external) return sequence(spec.neurons);
  return std::nullopt;
}

std::optional<Shape> state_shape(const Spec& spec, std::int64_t batch, std::string_view name) {
  const std::int64_t N = spec.neurons, P = spec.presynaptic();
  if (name == "y" && spec.is_recurrent()) return Shape{{batch, N}, 2};
  if (name == "c" && spec.cell == Cell::lstm) return Shape{{batch, N}, 2};
  if (name == "hebb") return Shape{{batch, P, N}, 3};
  if (name == "eligibility" && spec.has_eligibility()) return Shape{{batch, P, N}, 3};
  return std::nullopt;
}

}  // namespace plasticity
