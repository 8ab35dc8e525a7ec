#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/sweeps/layout.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/sweeps/sweeps.hpp"

// The products with the recurrent weights of an lstm's gates i, f and o. The currents of a step have four
// padded rows of N: i, f, g, o. w_gates has three, without g.
namespace plasticity::cpu {

/// The row of gate 0, 1 or 2 of w_gates among the currents.
inline constexpr std::int64_t rows_of_gates[] = {0, 1, 3};

template <class Real>
void transpose(const Real* source, Real* destination, std::int64_t rows, std::int64_t columns) {
  for (std::int64_t row = 0; row < rows; ++row) {
    for (std::int64_t column = 0; column < columns; ++column)
      destination[column * rows + row] = source[row * columns + column];
  }
}

/// Adds h W_gates to the currents of `elements` elements, at these columns of N. h has P numbers, w_gates is
/// [P,3N].
template <class Real>
void add_gate_products(const Products<Real>& products, std::int64_t P, std::int64_t N, const Real* w_gates,
                       int elements, const Real* const* h, Real* const* currents, Columns columns) {
  const std::int64_t S = padded<Real>(N), count = std::min(columns.count, N - columns.first);
  for (std::int64_t gate = 0; gate < 3; ++gate) {
    Real* rows[elements_together];
    for (int k = 0; k < elements; ++k) rows[k] = currents[k] + rows_of_gates[gate] * S + columns.first;
    products.multiply_rows(elements, count, P, h, w_gates + gate * N + columns.first, 3 * N, rows);
  }
}

/// The adjoint: dh += W_gates times the gradients of the currents i, f and o, for `count` numbers of dh from
/// `first` on. gates_transposed is [3,N,P].
template <class Real>
void add_gate_adjoints(const Products<Real>& products, std::int64_t P, std::int64_t N,
                       const Real* gates_transposed, int elements, const Real* const* da, Real* const* dh,
                       std::int64_t first, std::int64_t count) {
  for (std::int64_t gate = 0; gate < 3; ++gate) {
    const Real* of_gate[elements_together];
    Real* rows[elements_together];
    for (int k = 0; k < elements; ++k) {
      of_gate[k] = da[k] + rows_of_gates[gate] * padded<Real>(N);
      rows[k] = dh[k] + first;
    }
    products.multiply_rows(elements, count, N, of_gate, gates_transposed + gate * N * P + first, P, rows);
  }
}

}  // namespace plasticity::cpu
