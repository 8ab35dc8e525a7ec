#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include "plasticity/arguments.hpp"

// Everything that one batch element does, step by step. forward reads the outputs off it, backward walks it
// in reverse.
namespace plasticity::reference {

template <class Real>
using Vector = std::vector<Real>;

/// One step of one batch element.
template <class Real>
struct Moment {
  bool reset = false;        // the state was zeroed before this step
  Vector<Real> x;            // [P] presynaptic activity
  Vector<Real> hebb;         // [P,N] trace before the step
  Vector<Real> eligibility;  // [P,N] before the step
  Vector<Real> activated;    // [N] f(u + s), before the clamp
  Vector<Real> y;            // [N] postsynaptic activity, after the clamp
  Vector<Real> i, f, o;      // [N] lstm gates
  Vector<Real> c_before, c;  // [N] lstm cell state
  Vector<Real> out;          // [N] what the network shows: y, in an lstm h
  Real modulation{};         // M
  Vector<Real> rate;         // [N] g
};

/// The steps 0 .. length-1 and the state after them.
template <class Real>
struct Trajectory {
  std::vector<Moment<Real>> moments;
  Vector<Real> y, c, hebb, eligibility;
};

/// The arguments that forward and backward have in common, and the sizes.
template <class Real>
struct Problem {
  const Spec& spec;
  std::int64_t steps, batch;
  const Parameters<const Real>& parameters;
  const Inputs<const Real>& inputs;
  const Masks<Real>& masks;
  const State<const Real>& initial_state;
};

/// The trace rule for one connection.
template <class Real>
Real update_trace(const Spec& spec, Real hebb, Real drive, Real rate, Real y);

/// alpha_ij whatever its granularity.
template <class Real>
Real alpha_of(const Spec& spec, const Real* alpha, std::int64_t i, std::int64_t j) {
  switch (spec.alpha) {
    case Granularity::scalar: return alpha[0];
    case Granularity::post: return alpha[j];
    case Granularity::connection: return alpha[i * spec.neurons + j];
  }
  return Real{};
}

/// Simulates batch element b.
template <class Real>
Trajectory<Real> simulate(const Problem<Real>& problem, std::int64_t b);

// What an ordering means for a complex number: that of the real parts, so that the complex step takes the
// same branch.
inline float real_part(float value) { return value; }
inline double real_part(double value) { return value; }
inline double real_part(const std::complex<double>& value) { return value.real(); }

/// `limit` as a Real has it: an entry that was clamped there stands at its limit, not beyond.
template <class Real>
auto rounded(double limit) {
  return real_part(static_cast<Real>(limit));
}

/// min(max(value, -limit), limit); NaN stays NaN.
template <class Real>
Real clamp(Real value, double limit) {
  if (real_part(value) < -rounded<Real>(limit)) return Real(-limit);
  if (real_part(value) > rounded<Real>(limit)) return Real(limit);
  return value;
}

/// Whether a clamp at +-limit lets the gradient through: ends included.
template <class Real>
bool passes(Real value, double limit) {
  return real_part(value) >= -rounded<Real>(limit) && real_part(value) <= rounded<Real>(limit);
}

}  // namespace plasticity::reference
