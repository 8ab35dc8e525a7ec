#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "plasticity/arguments.hpp"

// Simulates one batch element and stores every quantity of every step. forward copies the outputs from the
// trajectory. backward computes the gradients from it in reverse order.
namespace plasticity::reference {

template <class Real>
using Vector = std::vector<Real>;

/// The quantities of one step of one batch element.
template <class Real>
struct StepRecord {
  bool reset = false;        // the state was set to zero before this step
  Vector<Real> x;            // [P] presynaptic activity
  Vector<Real> hebb;         // [P,N] trace before the step
  Vector<Real> eligibility;  // [P,N] before the step
  Vector<Real> current;      // [N] a = u + s of the plastic gate
  Vector<Real> unclamped;    // [N] f(a), before the clamp mask
  Vector<Real> y;            // [N] postsynaptic activity, after the clamp mask
  Vector<Real> i, f, o;      // [N] lstm gates
  Vector<Real> c_before, c;  // [N] lstm cell state
  Vector<Real> output;       // [N] output of the cell: y, in an lstm h
  Real modulation{};         // M
  Vector<Real> rate;         // [N] g
};

/// The records of steps 0 .. length-1, and the state after the last one.
template <class Real>
struct Trajectory {
  std::vector<StepRecord<Real>> steps;
  Vector<Real> y, c, hebb, eligibility;
};

/// The sizes and the arguments that forward and backward share.
template <class Real>
struct ReferenceArgs {
  const Spec& spec;
  std::int64_t steps, batch;
  const Parameters<const Real>& parameters;
  const Inputs<const Real>& inputs;
  const Masks<Real>& masks;
  const State<const Real>& initial_state;
};

/// Returns the Hebbian trace of one connection after a step.
template <class Real>
Real update_trace(const Spec& spec, Real hebb, Real drive, Real rate, Real y);

/// Returns alpha_ij for any granularity.
template <class Real>
Real alpha_of(const Spec& spec, const Real* alpha, std::int64_t i, std::int64_t j) {
  switch (spec.alpha) {
    case Granularity::scalar: return alpha[0];
    case Granularity::post: return alpha[j];
    case Granularity::connection: return alpha[i * spec.neurons + j];
    case Granularity::none: break;
  }
  return Real{};
}

/// Writes `source` to `destination`, which may be null.
template <class Real>
void store(const Vector<Real>& source, Real* destination, std::int64_t offset) {
  if (destination != nullptr) std::copy(source.begin(), source.end(), destination + offset);
}

/// Simulates batch element b.
template <class Real>
Trajectory<Real> simulate(const ReferenceArgs<Real>& args, std::int64_t b);

// Comparisons use the real part, so the complex step takes the same branch as the real computation.
inline float real_part(float value) { return value; }
inline double real_part(double value) { return value; }
inline double real_part(const std::complex<double>& value) { return value.real(); }

/// Returns `limit` rounded to the precision of Real, so a value that was clamped to it is not beyond it.
template <class Real>
auto rounded(double limit) {
  return real_part(static_cast<Real>(limit));
}

/// Returns min(max(value, -limit), limit). NaN stays NaN.
template <class Real>
Real clamp(Real value, double limit) {
  if (real_part(value) < -rounded<Real>(limit)) return Real(-limit);
  if (real_part(value) > rounded<Real>(limit)) return Real(limit);
  return value;
}

/// Returns whether the gradient passes a clamp to +-limit: if |value| <= limit.
template <class Real>
bool passes(Real value, double limit) {
  return real_part(value) >= -rounded<Real>(limit) && real_part(value) <= rounded<Real>(limit);
}

}  // namespace plasticity::reference
