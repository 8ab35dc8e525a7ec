#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

#include "cpu/sweeps/cells.hpp"
#include "cpu/sweeps/layout.hpp"
#include "plasticity/arguments.hpp"

// The parts of a step that touch vectors of N only.
namespace plasticity::cpu {

/// y = f(a), padding included. `a` may be y.
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

/// dy becomes the gradient of the current: dy f'(a), where `activated` is f(a). Clamped units have no
/// gradient of their own; under softmax their current still moves the others.
template <class Real>
void activate_adjoint(Activation activation, const Real* activated, const std::uint8_t* clamped, Real* dy,
                      std::int64_t N) {
  if (clamped != nullptr) {
    for (std::int64_t j = 0; j < N; ++j) dy[j] = clamped[j] != 0 ? Real(0) : dy[j];
  }
  switch (activation) {
    case Activation::tanh:
      for (std::int64_t j = 0; j < N; ++j) dy[j] *= 1 - activated[j] * activated[j];
      return;
    case Activation::sigmoid:
      for (std::int64_t j = 0; j < N; ++j) dy[j] *= activated[j] * (1 - activated[j]);
      return;
    case Activation::relu:
      for (std::int64_t j = 0; j < N; ++j) dy[j] = activated[j] > 0 ? dy[j] : Real(0) * dy[j];
      return;
    case Activation::identity: return;
    case Activation::softmax: {
      Real inner = 0;
      for (std::int64_t j = 0; j < N; ++j) inner += dy[j] * activated[j];
      for (std::int64_t j = 0; j < N; ++j) dy[j] = activated[j] * (dy[j] - inner);
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

/// The rates g_j of one step. `external` is the caller's row where the rate is external.
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

/// One step from the finished currents (input current, plastic read and gate products added up) to what the
/// network shows. Vectors of the CPU path's own are padded (layout.hpp), the caller's are not.
template <class Real>
struct CellStep {
  const Real* current;        // [gates,N]
  const std::uint8_t* clamp;  // [N] or null, the caller's
  const Real* clamp_value;    // [N] the caller's
  Real* activated;            // [N] f(current); may be the same memory as post
  Real* post;                 // [N] after the clamp
  Real* out;                  // [N] the same memory as post except in an lstm
  Real* gates;                // [3,N] lstm: i f o
  const Real* c_before;       // [N] lstm
  Real* c;                    // [N] lstm; may be c_before
};

template <class Real>
void run_cell(const Spec& spec, const Cells<Real>& cells, const CellStep<Real>& step) {
  const std::int64_t N = spec.neurons, width = padded<Real>(N);
  const bool lstm = spec.cell == Cell::lstm;
  activate(cells, spec.activation, step.current + (lstm ? 2 * width : 0), step.activated, N);
  if (step.post != step.activated) std::copy_n(step.activated, width, step.post);
  if (step.clamp != nullptr) {
    for (std::int64_t j = 0; j < N; ++j) {
      if (step.clamp[j] != 0) step.post[j] = step.clamp_value[j];
    }
  }
  if (lstm) cells.lstm(width, {step.current, step.post, step.c_before, step.gates, step.c, step.out});
}

}  // namespace plasticity::cpu
