#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "cpu/sweeps/cells.hpp"
#include "cpu/sweeps/layout.hpp"
#include "plasticity/arguments.hpp"

// The parts of a step that work on vectors of N only.
namespace plasticity::cpu {

/// y = f(a), including the padding. `a` may alias y.
template <class Real>
void activate(const Cells<Real>& cells, Activation activation, const Real* a, Real* y, std::int64_t N) {
  const std::int64_t width = padded<Real>(N);
  switch (activation) {
    case Activation::tanh: cells.tanh(width, a, y); return;
    case Activation::sigmoid: cells.logistic(width, a, y); return;
    case Activation::relu:
      std::transform(a, a + width, y, [](Real value) { return value < 0 ? Real(0) : value; });
      return;
    case Activation::identity: std::copy_n(a, width, y); return;
    case Activation::softmax: {
      cells.exp_below(width, *std::max_element(a, a + N), a, y);
      const Real sum = std::accumulate(y, y + N, Real(0));
      for (std::int64_t j = 0; j < N; ++j) y[j] /= sum;
      return;
    }
  }
}

/// Replaces dy by the gradient of the current, dy f'(a). `unclamped` is f(a). The gradient of a clamped
/// unit's output is zero, but under softmax its current still affects the other units.
template <class Real>
void activate_adjoint(Activation activation, const Real* unclamped, const std::uint8_t* clamped, Real* dy,
                      std::int64_t N) {
  if (clamped != nullptr) {
    for (std::int64_t j = 0; j < N; ++j) dy[j] = clamped[j] != 0 ? Real(0) : dy[j];
  }
  switch (activation) {
    case Activation::tanh:
      for (std::int64_t j = 0; j < N; ++j) dy[j] *= 1 - unclamped[j] * unclamped[j];
      return;
    case Activation::sigmoid:
      for (std::int64_t j = 0; j < N; ++j) dy[j] *= unclamped[j] * (1 - unclamped[j]);
      return;
    case Activation::relu:
      for (std::int64_t j = 0; j < N; ++j) dy[j] = unclamped[j] > 0 ? dy[j] : Real(0) * dy[j];
      return;
    case Activation::identity: return;
    case Activation::softmax: {
      Real inner = 0;
      for (std::int64_t j = 0; j < N; ++j) inner += dy[j] * unclamped[j];
      for (std::int64_t j = 0; j < N; ++j) dy[j] = unclamped[j] * (dy[j] - inner);
      return;
    }
  }
}

/// M = tanh(v . y + v0).
template <class Real>
Real modulate(const Parameters<const Real>& parameters, const Real* read, std::int64_t N) {
  Real sum = parameters.modulator_bias[0];
  for (std::int64_t j = 0; j < N; ++j) sum += parameters.modulator_weight[j] * read[j];
  return std::tanh(sum);
}

/// The rates g_j of one step. `external` is the caller's row for Rate::external.
template <class Real>
void fill_rate(const Spec& spec, const Parameters<const Real>& parameters, Real modulation,
               const Real* external, Real* rate) {
  const std::int64_t N = spec.neurons;
  switch (spec.rate) {
    case Rate::fixed: std::fill_n(rate, N, parameters.eta[0]); return;
    case Rate::modulated: std::fill_n(rate, N, modulation); return;
    case Rate::fan_out:
      for (std::int64_t j = 0; j < N; ++j) {
        rate[j] = modulation * parameters.fan_out_weight[j] + parameters.fan_out_bias[j];
      }
      return;
    case Rate::external: std::copy_n(external, N, rate); return;
  }
}

/// One step from the complete currents (input current, plastic read and gate products) to the output. The
/// caller's vectors are not padded, all others are (sweeps/layout.hpp).
template <class Real>
struct CellStep {
  const Real* current;        // [gates,N]
  const std::uint8_t* clamp;  // [N] or null; the caller's
  const Real* clamp_value;    // [N] the caller's
  Real* unclamped;            // [N] f(current); may alias post
  Real* post;                 // [N] after the clamp
  Real* output;               // [N] aliases post except in an lstm
  Real* gates;                // [3,N] lstm: i f o
  const Real* c_before;       // [N] lstm
  Real* c;                    // [N] lstm; may alias c_before
};

template <class Real>
void run_cell(const Spec& spec, const Cells<Real>& cells, const CellStep<Real>& step) {
  const std::int64_t N = spec.neurons, width = padded<Real>(N);
  const bool lstm = spec.cell == Cell::lstm;
  activate(cells, spec.activation, step.current + (lstm ? 2 * width : 0), step.unclamped, N);
  if (step.post != step.unclamped) std::copy_n(step.unclamped, width, step.post);
  if (step.clamp != nullptr) {
    for (std::int64_t j = 0; j < N; ++j) {
      if (step.clamp[j] != 0) step.post[j] = step.clamp_value[j];
    }
  }
  if (lstm) cells.lstm(width, {step.current, step.post, step.c_before, step.gates, step.c, step.output});
}

}  // namespace plasticity::cpu
