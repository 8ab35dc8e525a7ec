#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "cpu/sweeps/cell_functions.hpp"
#include "cpu/sweeps/layout.hpp"
#include "plasticity/arguments.hpp"

// The parts of a step that work on vectors of N only.
namespace plasticity::cpu {

/// Softmax before the division: y = e^(a - largest). Returns the sum of y.
template <class Real>
Real softmax_terms(const CellFunctions<Real>& functions, Real largest, const Real* a, Real* y,
                   std::int64_t N) {
  functions.exp_below(padded<Real>(N), largest, a, y);
  return std::accumulate(y, y + N, Real(0));
}

template <class Real>
void divide(Real* y, Real sum, std::int64_t N) {
  for (std::int64_t j = 0; j < N; ++j) y[j] /= sum;
}

/// y = f(a), including the padding. `a` may alias y.
template <class Real>
void activate(const CellFunctions<Real>& functions, Activation activation, const Real* a, Real* y,
              std::int64_t N) {
  const std::int64_t width = padded<Real>(N);
  switch (activation) {
    case Activation::tanh: functions.tanh(width, a, y); return;
    case Activation::sigmoid: functions.logistic(width, a, y); return;
    case Activation::relu:
      std::transform(a, a + width, y, [](Real value) { return value < 0 ? Real(0) : value; });
      return;
    case Activation::identity: std::copy_n(a, width, y); return;
    case Activation::softmax:
      divide(y, softmax_terms(functions, *std::max_element(a, a + N), a, y, N), N);
      return;
  }
}

/// Sets the gradient of the outputs of clamped units to zero. Under softmax their currents still affect the
/// other units.
template <class Real>
void clear_clamped(const std::uint8_t* clamped, Real* dpost, std::int64_t N) {
  for (std::int64_t j = 0; clamped != nullptr && j < N; ++j) dpost[j] = clamped[j] != 0 ? Real(0) : dpost[j];
}

/// The sum of dpost f(a) over the units, which activate_adjoint() needs. Zero for other activations.
template <class Real>
Real softmax_inner(Activation activation, const Real* unclamped, const Real* dpost, std::int64_t N) {
  Real inner = 0;
  for (std::int64_t j = 0; activation == Activation::softmax && j < N; ++j) inner += dpost[j] * unclamped[j];
  return inner;
}

/// Replaces dpost by the gradient of the pre-activation, dpost f'(a). `unclamped` is f(a), `inner` is
/// softmax_inner().
template <class Real>
void activate_adjoint(Activation activation, const Real* unclamped, Real inner, Real* dpost, std::int64_t N) {
  switch (activation) {
    case Activation::tanh:
      for (std::int64_t j = 0; j < N; ++j) dpost[j] *= 1 - unclamped[j] * unclamped[j];
      return;
    case Activation::sigmoid:
      for (std::int64_t j = 0; j < N; ++j) dpost[j] *= unclamped[j] * (1 - unclamped[j]);
      return;
    case Activation::relu:
      for (std::int64_t j = 0; j < N; ++j) dpost[j] = unclamped[j] > 0 ? dpost[j] : Real(0) * dpost[j];
      return;
    case Activation::identity: return;
    case Activation::softmax:
      for (std::int64_t j = 0; j < N; ++j) dpost[j] = unclamped[j] * (dpost[j] - inner);
      return;
  }
}

/// M = tanh(v . y + v0), with v = weight, v0 = bias and y = read.
template <class Real>
Real modulate(const Real* weight, Real bias, const Real* read, std::int64_t N) {
  Real sum = bias;
  for (std::int64_t j = 0; j < N; ++j) sum += weight[j] * read[j];
  return std::tanh(sum);
}

/// The rates g_j of N neurons for Rate::modulated or Rate::fan_out.
template <class Real>
void fill_modulated_rate(Rate source, std::int64_t N, const Parameters<const Real>& parameters,
                         Real modulation, Real* rate) {
  if (source == Rate::modulated) {
    std::fill_n(rate, N, modulation);
    return;
  }
  for (std::int64_t j = 0; j < N; ++j)
    rate[j] = modulation * parameters.fan_out_weight[j] + parameters.fan_out_bias[j];
}

/// The rates g_j of one step. `external` is the caller's row for Rate::external.
template <class Real>
void fill_rate(const Spec& spec, const Parameters<const Real>& parameters, Real modulation,
               const Real* external, Real* rate) {
  const std::int64_t N = spec.neurons;
  switch (spec.rate) {
    case Rate::fixed: std::fill_n(rate, N, parameters.eta[0]); return;
    case Rate::modulated:
    case Rate::fan_out: fill_modulated_rate(spec.rate, N, parameters, modulation, rate); return;
    case Rate::external: std::copy_n(external, N, rate); return;
  }
}

/// The vectors of one step, from the complete currents (input current, plastic read and gate products) to the
/// output. The caller's vectors are not padded, all others are (sweeps/layout.hpp).
template <class Real>
struct CellVectors {
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

/// The part of run_cell() after the activation.
template <class Real>
void finish_cell(const Spec& spec, const CellFunctions<Real>& functions, const CellVectors<Real>& step) {
  const std::int64_t N = spec.neurons, width = padded<Real>(N);
  if (step.post != step.unclamped) std::copy_n(step.unclamped, width, step.post);
  if (step.clamp != nullptr) {
    for (std::int64_t j = 0; j < N; ++j) {
      if (step.clamp[j] != 0) step.post[j] = step.clamp_value[j];
    }
  }
  if (spec.cell == Cell::lstm)
    functions.lstm(width, {step.current, step.post, step.c_before, step.gates, step.c, step.output});
}

/// Computes the output of a step from its currents.
template <class Real>
void run_cell(const Spec& spec, const CellFunctions<Real>& functions, const CellVectors<Real>& step) {
  const std::int64_t N = spec.neurons, first = spec.cell == Cell::lstm ? 2 * padded<Real>(N) : 0;
  activate(functions, spec.activation, step.current + first, step.unclamped, N);
  finish_cell(spec, functions, step);
}

}  // namespace plasticity::cpu
