#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "plasticity/arguments.hpp"

// The shapes of the tensors by their index in members(). Every call of a plan checks all of its tensors, so
// these functions are inline and compare no names.
namespace plasticity {

/// The sizes in the shapes of a spec's tensors. N differs from the spec's if a rank owns some of the columns.
struct TensorSizes {
  const Spec& spec;
  std::int64_t P, N;

  TensorSizes(const Spec& of) : TensorSizes(of, of.neurons) {}  // implicit, for the tensors of whole cells
  TensorSizes(const Spec& whole, std::int64_t columns) : spec(whole), P(whole.presynaptic()), N(columns) {}
};

namespace shapes {
inline Shape vector(std::int64_t size) { return {{size}, 1}; }
inline Shape matrix(std::int64_t rows, std::int64_t columns) { return {{rows, columns}, 2}; }
inline Shape tensor(std::int64_t a, std::int64_t b, std::int64_t c) { return {{a, b, c}, 3}; }
inline std::optional<Shape> only_if(bool condition, const Shape& shape) {
  return condition ? std::optional<Shape>(shape) : std::nullopt;
}
}  // namespace shapes

/// The shape of entry `index` of Parameters::members().
inline std::optional<Shape> parameter_shape_at(const TensorSizes& sizes, std::size_t index) {
  using namespace shapes;
  const Spec& spec = sizes.spec;
  const std::int64_t I = spec.inputs, N = sizes.N, P = sizes.P, G = spec.gates();
  const bool has_projection = spec.is_recurrent() && spec.inputs > 0;
  switch (index) {
    case 0: return only_if(has_projection, matrix(I, G * N));           // w_in
    case 1: return only_if(has_projection, vector(G * N));              // b
    case 2: return matrix(P, N);                                        // w
    case 3: return only_if(spec.cell == Cell::lstm, matrix(P, 3 * N));  // w_gates
    case 4:                                                             // alpha
      if (!spec.is_plastic()) return std::nullopt;
      if (spec.alpha == Granularity::connection) return matrix(P, N);
      return vector(spec.alpha == Granularity::post ? N : 1);
    case 5: return only_if(spec.has_eta(), vector(1));        // eta
    case 6: return only_if(spec.has_modulator(), vector(N));  // modulator.weight
    case 7: return only_if(spec.has_modulator(), vector(1));  // modulator.bias
    case 8:                                                   // fan_out.weight
    case 9:                                                   // fan_out.bias
      return only_if(spec.rate == Rate::fan_out, vector(N));
    default: return std::nullopt;
  }
}

/// The shape of entry `index` of Inputs::members().
inline std::optional<Shape> input_shape_at(const TensorSizes& sizes, std::int64_t T, std::int64_t B,
                                           std::size_t index) {
  using namespace shapes;
  const Spec& spec = sizes.spec;
  const bool feedforward = spec.cell == Cell::feedforward;
  switch (index) {
    case 0: return only_if(!feedforward && spec.inputs > 0, tensor(T, B, spec.inputs));  // x
    case 1: return tensor(T, B, spec.gates() * sizes.N);                                 // u
    case 2: return only_if(feedforward, tensor(T, B, spec.inputs));                      // pre
    case 3: return only_if(spec.rate == Rate::external, tensor(T, B, sizes.N));          // rate
    default: return std::nullopt;
  }
}

/// The shape of entry `index` of State::members().
inline std::optional<Shape> state_shape_at(const TensorSizes& sizes, std::int64_t B, std::size_t index) {
  using namespace shapes;
  const Spec& spec = sizes.spec;
  const std::int64_t N = sizes.N, P = sizes.P;
  switch (index) {
    case 0: return only_if(spec.is_recurrent(), matrix(B, N));        // y
    case 1: return only_if(spec.cell == Cell::lstm, matrix(B, N));    // c
    case 2: return only_if(spec.is_plastic(), tensor(B, P, N));       // hebb
    case 3: return only_if(spec.has_eligibility(), tensor(B, P, N));  // eligibility
    default: return std::nullopt;
  }
}

}  // namespace plasticity
