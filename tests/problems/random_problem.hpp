#pragma once

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "plasticity/arguments.hpp"

// Random test cases for any spec, and typed buffers for their tensors.
namespace plasticity::testing {

/// The masks of a test case.
struct MaskChoice {
  bool reset = false, length = false, clamp = false;
};

/// A spec, its sizes, and all input tensors in double. The values are floats, so every precision gets the
/// same values. The same seed produces the same test case.
struct TestCase {
  Spec spec;
  std::int64_t steps, batch;
  std::uint64_t seed;
  std::map<std::string, std::vector<double>> inputs;    // "param.w", "input.x", "state.hebb", "clamp_value"
  std::map<std::string, std::vector<double>> upstream;  // "y", "state.hebb", …
  std::vector<std::uint8_t> reset, clamp;
  std::vector<std::int64_t> length;

  /// Returns the spec, sizes and seed, for messages.
  std::string name() const;
};

/// Values are scaled so that activity neither dies nor saturates, and some entries are clipped and some are
/// not. Points without a derivative (a clip hit exactly, relu at 0) have probability zero. Entries of
/// clamp_value are NaN if clamp is off for them.
TestCase make_test_case(const Spec& spec, std::int64_t steps, std::int64_t batch, std::uint64_t seed,
                        MaskChoice masks = {});

/// Returns a copy that also asks for the pre-activation a and passes its gradient. Only for plans on the CPU.
TestCase with_preactivation(TestCase problem);

/// Returns a copy with batch element b only.
TestCase alone(const TestCase& problem, std::int64_t b);

/// Returns a copy with batch elements b .. b+count-1 only.
TestCase slice(const TestCase& problem, std::int64_t b, std::int64_t count);

/// Returns a copy with steps `first` .. `last`-1 only. The initial state and the upstream state do not
/// change.
TestCase window(const TestCase& problem, std::int64_t first, std::int64_t last);

/// Returns one of `values`, at random.
template <class T>
T pick(std::mt19937_64& random, std::initializer_list<T> values) {
  return *(values.begin() + static_cast<std::ptrdiff_t>(random() % values.size()));
}

/// The number of enumerators that tests draw: all but the last of Granularity, none, which excludes most
/// other fields and has tests of its own.
template <class Enum>
std::size_t drawn_count() {
  return names<Enum>().size() - (std::is_same_v<Enum, Granularity> ? 1 : 0);
}

/// Returns a random enumerator.
template <class Enum>
Enum pick_any(std::mt19937_64& random) {
  return static_cast<Enum>(random() % drawn_count<Enum>());
}

/// Returns a random valid spec. Every rule, rate, … occurs, also one that was added after these tests.
Spec random_spec(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs);

/// Returns a random valid spec with alpha per connection, whose matrices do not fit into the last-level
/// cache. The CPU then adds the gradient of alpha after all steps.
Spec large_spec(std::mt19937_64& random, Cell cell);

/// Returns a random valid spec without a plastic part, Granularity::none.
Spec nonplastic_spec(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs);

/// Returns every valid combination of cell, rule, rate and eligibility. The other fields are random.
std::vector<Spec> every_mix(std::mt19937_64& random, std::int64_t neurons, std::int64_t inputs);

/// Chooses each kind of mask in about a third of the cases.
MaskChoice random_masks(std::mt19937_64& random);

/// The tensors of a test case in one type, and arguments that point to them. Outputs are initialised with
/// NaN.
template <class Real>
class Buffers {
 public:
  explicit Buffers(const TestCase& problem);
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  ForwardArgs<Real> forward;
  BackwardArgs<Real> backward;
  std::map<std::string, std::vector<Real>> inputs;   // by the names in TestCase::inputs
  std::map<std::string, std::vector<Real>> outputs;  // "y", "modulation", "state.hebb", …
  std::map<std::string, std::vector<Real>>
      gradients;  // by the names of the inputs; those of parameters start at zero

 private:
  std::map<std::string, std::vector<Real>> upstream_;
};

/// Returns |got - want| / max(|want|, 1) in the 2-norm. Infinite if a value is NaN or the sizes differ.
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

/// Returns the largest difference() over all tensors of `want`, and the name of that tensor.
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
