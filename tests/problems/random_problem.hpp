#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "plasticity/arguments.hpp"

// Random problems over the whole matrix of specs, and typed buffers for them.
namespace plasticity::testing {

/// Which overrides a problem has.
struct MaskChoice {
  bool reset = false, length = false, clamp = false;
};

/// A spec, its sizes, and every tensor in double; the numbers are floats, so that every precision works on
/// the same ones. The same seed gives the same problem.
struct TestCase {
  Spec spec;
  std::int64_t steps, batch;
  std::uint64_t seed;
  std::map<std::string, std::vector<double>> inputs;    // "param.w", "input.x", "state.hebb", "clamp_value"
  std::map<std::string, std::vector<double>> upstream;  // "y", "state.hebb", …
  std::vector<std::uint8_t> reset, clamp;
  std::vector<std::int64_t> length;

  /// For messages: what to build again.
  std::string name() const;
};

/// Values are scaled so that activity is alive and not saturated, and clips so that both sides of them occur.
/// What has no derivative (a clip hit exactly, the kink of relu) has probability zero. Clamp values are NaN
/// where nothing is clamped.
TestCase make_test_case(const Spec& spec, std::int64_t steps, std::int64_t batch, std::uint64_t seed,
                        MaskChoice masks = {});

/// A copy with batch element b alone.
TestCase alone(const TestCase& problem, std::int64_t b);

/// A copy with the steps `first` .. `last`-1 alone. State and upstream state are still those of the whole.
TestCase window(const TestCase& problem, std::int64_t first, std::int64_t last);

/// A valid spec drawn from the whole matrix.
Spec random_spec(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs);

/// Every cell with every rule, rate and eligibility that go together; the other choices drawn.
std::vector<Spec> every_mix(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs);

/// Each kind of mask in about a third of the cases.
MaskChoice random_masks(std::mt19937_64& random);

/// A problem's tensors in one type, the arguments that point to them, and outputs that begin as NaN.
template <class Real>
class Buffers {
 public:
  explicit Buffers(const TestCase& problem);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;
  std::map<std::string, std::vector<Real>> inputs;     // by the names in TestCase::inputs
  std::map<std::string, std::vector<Real>> outputs;    // "y", "modulation", "state.hebb", …
  std::map<std::string, std::vector<Real>> gradients;  // by the names of the inputs; parameters begin as zero

 private:
  std::map<std::string, std::vector<Real>> upstream_;
};

/// |a - b| / max(|b|, 1) in the 2-norm; infinite if anything is NaN or the sizes differ.
template <class A, class B>
double difference(const std::vector<A>& got, const std::vector<B>& want) {
  if (got.size() != want.size()) return std::numeric_limits<double>::infinity();
  double error = 0, norm = 0;
  for (std::size_t k = 0; k < got.size(); ++k) {
    error += std::pow(static_cast<double>(got[k]) - static_cast<double>(want[k]), 2);
    norm += std::pow(static_cast<double>(want[k]), 2);
  }
  const double result = std::sqrt(error) / std::max(std::sqrt(norm), 1.0);
  return std::isnan(result) ? std::numeric_limits<double>::infinity() : result;
}

/// The largest difference() over all tensors of two groups, and its name.
template <class A, class B>
std::pair<double, std::string> worst(const std::map<std::string, std::vector<A>>& got,
                                     const std::map<std::string, std::vector<B>>& want) {
  std::pair<double, std::string> result{0, "(none)"};
  for (const auto& [name, values] : want) {
    const auto found = got.find(name);
    const double error =
        found == got.end() ? std::numeric_limits<double>::infinity() : difference(found->second, values);
    if (error >= result.first) result = {error, name};
  }
  return result;
}

}  // namespace plasticity::testing
