#pragma once

#include <array>
#include <cstdint>

#include "cpu/sweeps/lanes.hpp"

// exp, tanh and the logistic function of a vector, accurate to a few units in the last place. Infinities map
// to the limits, and NaN stays NaN.
namespace plasticity::cpu {
namespace {

template <class Real>
struct ExponentialConstants;
template <>
struct ExponentialConstants<float> {
  using Integer = std::int32_t;
  static constexpr int fraction_bits = 23, bias = 127, degree = 7;
  static constexpr float ln2_high = 0x1.63p-1f, ln2_low = -0x1.bd0106p-13f;  // k ln2_high is exact
  static constexpr float lowest = -87.0f;                                    // below it, e^x is zero
};
template <>
struct ExponentialConstants<double> {
  using Integer = std::int64_t;
  static constexpr int fraction_bits = 52, bias = 1023, degree = 13;
  static constexpr double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;
  static constexpr double lowest = -708.0;
};

/// 1/k! for k = 2, 3, ... up to the degree.
template <class Real, int degree>
constexpr std::array<Real, degree - 1> inverse_factorials() {
  std::array<Real, degree - 1> values{};
  double factorial = 1;
  for (std::size_t k = 2; k <= degree; ++k)
    values[k - 2] = static_cast<Real>(1 / (factorial *= static_cast<double>(k)));
  return values;
}

/// e^x = scale (1 + rest) with a power of two `scale`. The exponent of e^x must be representable.
template <class V>
struct Exponential {
  V scale, rest;
};

template <class V>
inline Exponential<V> exponential(V x) {
  using Real = typename LanesOf<V>::Real;
  using Constants = ExponentialConstants<Real>;
  using Integer = typename Constants::Integer;
  using Integers = Vector<Integer>;
  constexpr auto coefficients = inverse_factorials<Real, Constants::degree>();
  // Adding `shift` leaves the nearest integer in the low bits.
  constexpr Real shift = static_cast<Real>(std::int64_t{3} << (Constants::fraction_bits - 1));
  const V shifted = x * splat<V>(Real(1.4426950408889634)) + splat<V>(shift);
  const V k = shifted - splat<V>(shift);
  const V r = (x - k * splat<V>(Constants::ln2_high)) - k * splat<V>(Constants::ln2_low);
  V tail = splat<V>(coefficients.back());
  for (int c = static_cast<int>(coefficients.size()) - 2; c >= 0; --c) {
    tail = tail * r + splat<V>(coefficients[static_cast<std::size_t>(c)]);
  }
  const Integers exponent = (reinterpret_cast<Integers>(shifted) + Integer{Constants::bias})
                            << Constants::fraction_bits;
  return {reinterpret_cast<V>(exponent), r + r * r * tail};
}

/// e^x for x <= 0.
template <class V>
inline V exp_of_negative(V x) {
  using Real = typename LanesOf<V>::Real;
  const V lowest = splat<V>(ExponentialConstants<Real>::lowest);
  const Exponential<V> e = exponential(x < lowest ? lowest : x);
  return x < lowest ? V{} : e.scale + e.scale * e.rest;
}

template <class V>
inline V tanh(V x) {
  const V largest = splat<V>(20);  // tanh(20) rounds to 1
  const V size = x < V{} ? -x : x;
  const Exponential<V> e = exponential(2 * (size > largest ? largest : size));
  const V less_one = e.scale * e.rest + (e.scale - 1);  // e^2|x| - 1, without loss where it is small
  const V value = less_one / (less_one + 2);
  return x < V{} ? -value : value;
}

template <class V>
inline V logistic(V x) {
  const V e = exp_of_negative(x < V{} ? x : -x);
  return (x < V{} ? e : splat<V>(1)) / (1 + e);
}

}  // namespace
}  // namespace plasticity::cpu
