#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/padded_rows.hpp"
#include "cpu/sweeps/layout.hpp"
#include "cpu/sweeps/products.hpp"
#include "model/shapes.hpp"
#include "plasticity/arguments.hpp"

namespace plasticity::cpu {

/// Writes the gradients of x and u of element b, and zeros to the gradients of all inputs from step `length`
/// on. `da` is the gradient of the element's currents, [T,gates,padded N]. w_in_transposed is [gates,N,I].
template <class Real>
void write_input_gradients(const Spec& spec, const Products<Real>& products, std::int64_t steps,
                           std::int64_t batch, std::int64_t b, std::int64_t length, const Real* da,
                           const Real* w_in_transposed, const Inputs<Real>& gradients) {
  const std::int64_t I = spec.inputs, N = spec.neurons, S = padded<Real>(N), gates = spec.gates();
  for (const auto& member : Inputs<Real>::members()) {
    Real* const gradient = gradients.*member.pointer;
    if (gradient == nullptr) continue;
    const std::int64_t columns = input_shape(spec, steps, batch, member.name)->size[2];
    const std::int64_t first = member.name == "x" ? 0 : length;  // dx is accumulated below
    for (std::int64_t t = first; t < steps; ++t)
      std::fill_n(gradient + (t * batch + b) * columns, columns, Real(0));
  }
  for (std::int64_t gate = 0; gradients.x != nullptr && length > 0 && gate < gates; ++gate) {
    products.multiply(length, I, N, da + gate * S, gates * S, w_in_transposed + gate * N * I, I,
                      gradients.x + b * I, batch * I);
  }
  for (std::int64_t t = 0; gradients.u != nullptr && t < length; ++t)
    unpad_rows(da + t * gates * S, gates, N, gradients.u + (t * batch + b) * gates * N);
}

}  // namespace plasticity::cpu
