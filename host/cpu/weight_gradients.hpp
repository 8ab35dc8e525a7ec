#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/gates.hpp"
#include "cpu/sweeps/layout.hpp"
#include "cpu/sweeps/products.hpp"
#include "cpu/threads/parallel.hpp"
#include "plasticity/arguments.hpp"

// The gradients of w, w_gates, w_in and b: sums over all steps and elements of outer products of two vectors,
// the left factor (the presynaptic activity, the input, or 1) and the gradient of the currents.
namespace plasticity::cpu {

/// The vectors of the outer products, element by element and step by step.
template <class Real>
struct StepList {
  const Real **left, **right;  // [T B]
  std::int64_t* first;         // [B+1] index of an element's first step

  template <class Memory>
  StepList(std::int64_t steps, std::int64_t batch, Memory& memory)
      : left(memory.template take<const Real*>(steps * batch)),
        right(memory.template take<const Real*>(steps * batch)),
        first(memory.template take<std::int64_t>(batch + 1)) {}
};

template <class Real>
struct WeightGradients {
  const Products<Real>& products;
  int threads;
  std::int64_t B, N;
  const StepList<Real>& list;

  /// Lists the steps t < length_of(b) of every element. left_of(b)(t) and right_of(t, b) return the vectors.
  template <class LengthOf, class LeftOf, class RightOf>
  void set(const LengthOf& length_of, const LeftOf& left_of, const RightOf& right_of) const {
    std::int64_t count = 0;
    for (std::int64_t b = 0; b < B; ++b) {
      const auto left_at = left_of(b);
      list.first[b] = count;
      for (std::int64_t t = 0; t < length_of(b); ++t, ++count) {
        list.left[count] = left_at(t);
        list.right[count] = right_of(t, b);
      }
    }
    list.first[B] = count;
  }

  /// to[rows,N] += the sum of the outer products of the left vectors and the columns of the right ones from
  /// `first_column` on. `stride`: between the rows of `to`.
  void add(Real* to, std::int64_t rows, std::int64_t stride, std::int64_t first_column) const {
    constexpr std::int64_t at_once = 32;
    parallel_for(threads, (rows + at_once - 1) / at_once, [&](std::int64_t block, int) {
      const std::int64_t first = block * at_once;
      products.outer(first, std::min(rows, first + at_once), N, B, list.first, list.left, list.right,
                     first_column, to, stride);
    });
  }

  /// Adds all four gradients that are wanted. pre_of(b)(t): the presynaptic activity. currents_of(t, b): the
  /// gradients of the currents, [gates,S].
  template <class LengthOf, class PreOf, class CurrentsOf>
  void add_all(const Spec& spec, const Parameters<Real>& gradients, const Real* x, const LengthOf& length_of,
               const PreOf& pre_of, const CurrentsOf& currents_of) const {
    const std::int64_t I = spec.inputs, gates = spec.gates(), S = padded<Real>(N);
    const bool lstm = spec.cell == Cell::lstm;
    set(length_of, pre_of, currents_of);
    if (gradients.w != nullptr) add(gradients.w, spec.presynaptic(), N, lstm ? 2 * S : 0);
    for (std::int64_t gate = 0; gradients.w_gates != nullptr && gate < 3; ++gate)
      add(gradients.w_gates + gate * N, N, 3 * N, rows_of_gates[gate] * S);
    if (gradients.w_in != nullptr) {
      set(
          length_of,
          [&](std::int64_t b) { return [x, b, I, this](std::int64_t t) { return x + (t * B + b) * I; }; },
          currents_of);
      for (std::int64_t gate = 0; gate < gates; ++gate)
        add(gradients.w_in + gate * N, I, gates * N, gate * S);
    }
    if (gradients.b == nullptr) return;
    const Real one = 1;
    set(
        length_of, [&](std::int64_t) { return [&one](std::int64_t) { return &one; }; }, currents_of);
    for (std::int64_t gate = 0; gate < gates; ++gate) add(gradients.b + gate * N, 1, gates * N, gate * S);
  }
};

}  // namespace plasticity::cpu
