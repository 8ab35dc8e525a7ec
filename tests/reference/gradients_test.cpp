// The reference's gradients compared with the complex step: for an analytic f, Imag f(x + ih) / h equals
// f'(x) up to h^2. There is no cancellation, so h can be tiny, and the tolerance is close to the rounding
// error.
#include <gtest/gtest.h>

#include <complex>
#include <set>

#include "plasticity/reference.hpp"
#include "problems/random_problem.hpp"

namespace plasticity::testing {
namespace {

using Complex = std::complex<double>;
constexpr double h = 1e-30;
constexpr double tolerance = 1e-11;  // both sides round in double, 1e-16 per operation, over 6 steps

/// Returns the loss, the sum of upstream times output.
Complex loss(const TestCase& problem, const Buffers<Complex>& buffers) {
  Complex sum = 0;
  for (const auto& [name, weights] : problem.upstream) {
    const std::vector<Complex>& values = buffers.outputs.at(name);
    for (std::size_t k = 0; k < weights.size(); ++k) sum += weights[k] * values[k];
  }
  return sum;
}

/// Returns the directional derivative of the loss with respect to a tensor, by the complex step.
double derivative(const TestCase& problem, Buffers<Complex>& buffers, const std::string& tensor,
                  const std::vector<double>& direction) {
  std::vector<Complex>& values = buffers.inputs.at(tensor);
  for (std::size_t k = 0; k < values.size(); ++k) values[k] += Complex(0, h * direction[k]);
  reference::forward(problem.spec, problem.steps, problem.batch, buffers.forward);
  for (Complex& value : values) value = value.real();
  return loss(problem, buffers).imag() / h;
}

/// Returns the largest error of `gradients`, relative to max(1, |derivative|), and its tensor. Every tensor
/// is checked in two random directions and for three single elements.
std::pair<double, std::string> check(const TestCase& problem,
                                     const std::map<std::string, std::vector<double>>& gradients) {
  Buffers<Complex> buffers(problem);
  std::mt19937_64 random(problem.seed + 1);
  std::normal_distribution<double> normal;
  std::pair<double, std::string> result{0, "(none)"};
  for (const auto& [name, gradient] : gradients) {
    for (int trial = 0; trial < 5; ++trial) {
      std::vector<double> direction(gradient.size(), 0.0);
      if (trial < 2) {
        for (double& value : direction) value = normal(random);
      } else if (!direction.empty()) {
        direction[random() % direction.size()] = 1;
      }
      double expected = 0;
      for (std::size_t k = 0; k < gradient.size(); ++k) expected += gradient[k] * direction[k];
      const double measured = derivative(problem, buffers, name, direction);
      const double error = std::abs(expected - measured) / std::max(1.0, std::abs(measured));
      if (!(error <= result.first)) result = {error, name};
    }
  }
  return result;
}

std::map<std::string, std::vector<double>> gradients_of(const TestCase& problem) {
  Buffers<double> buffers(problem);
  reference::backward(problem.spec, problem.steps, problem.batch, buffers.backward);
  return buffers.gradients;
}

void expect_exact(const TestCase& problem) {
  const auto [error, tensor] = check(problem, gradients_of(problem));
  EXPECT_LT(error, tolerance) << tensor << " of " << problem.name();
}

TEST(ComplexStep, RandomSpecs) {
  std::mt19937_64 random(20);
  for (int trial = 0; trial < 250; ++trial) {
    const auto neurons = pick<std::int64_t>(random, {1, 2, 3, 4, 5});
    const auto inputs = pick<std::int64_t>(random, {1, 2, 3, 4});
    const Spec spec = random_spec(random, neurons, inputs);
    const auto steps = pick<std::int64_t>(random, {1, 2, 3, 4, 5, 6});
    const auto batch = pick<std::int64_t>(random, {1, 2, 3});
    const std::uint64_t seed = random();
    expect_exact(make_test_case(spec, steps, batch, seed, random_masks(random)));
  }
}

// A loss on the pre-activation, and on the outputs.
TEST(ComplexStep, UpstreamGradientOfTheCurrent) {
  std::mt19937_64 random(21);
  for (const Spec& spec : every_mix(random, 4, 3)) {
    expect_exact(with_preactivation(make_test_case(spec, 4, 2, random(), random_masks(random))));
  }
}

// Every valid combination of cell, rule, rate and eligibility.
TEST(ComplexStep, WholeMatrix) {
  std::set<std::string> seen;
  std::uint64_t seed = 1;
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    for (int rule = 0; rule < static_cast<int>(names<Rule>().size()); ++rule) {
      for (int rate = 0; rate < static_cast<int>(names<Rate>().size()); ++rate) {
        for (int eligibility = 0; eligibility < static_cast<int>(names<Eligibility>().size());
             ++eligibility) {
          Spec spec;
          spec.cell = cell;
          spec.rule = static_cast<Rule>(rule);
          spec.rate = static_cast<Rate>(rate);
          spec.eligibility = static_cast<Eligibility>(eligibility);
          if (spec.has_eligibility() && spec.rate == Rate::fixed) continue;
          spec.alpha = static_cast<Granularity>(seed % 3);
          spec.activation = cell == Cell::lstm ? Activation::tanh : static_cast<Activation>(seed % 5);
          spec.inputs = 3;
          spec.neurons = 4;
          spec.clip = .3;
          const MaskChoice masks{.reset = seed % 2 == 0, .length = seed % 3 == 0, .clamp = seed % 5 == 0};
          expect_exact(make_test_case(spec, 5, 2, seed, masks));
          ++seed;
          seen.insert(to_string(spec));
        }
      }
    }
  }
  EXPECT_EQ(seen.size(), 3 * names<Rule>().size() * (names<Rate>().size() * names<Eligibility>().size() - 2));
}

// Test cases with a clip have clipped and free entries, so both gradients are tested.
TEST(ComplexStep, ClippedAndFreeEntriesOccur) {
  for (const Rule rule : {Rule::hard_clip, Rule::soft_clip, Rule::read_clip}) {
    Spec spec{.rule = rule,
              .rate = Rate::fixed,
              .inputs = 3,
              .neurons = 5,
              .clip = rule == Rule::read_clip ? .25 : .35};
    TestCase problem = make_test_case(spec, 8, 3, 7);
    if (rule == Rule::soft_clip) problem.inputs["param.eta"][0] = 3;
    Buffers<double> buffers(problem);
    reference::forward(spec, 8, 3, buffers.forward);
    const double bound = rule == Rule::soft_clip ? 1 : spec.clip;
    std::size_t beyond = 0, within = 0;
    for (const double value : buffers.outputs.at("state.hebb"))
      ++(std::abs(value) >= bound ? beyond : within);
    EXPECT_GT(beyond, 0u) << to_string(rule);
    EXPECT_GT(within, 0u) << to_string(rule);
    expect_exact(problem);
  }
}

// The check detects a gradient that is wrong by 1e-6.
TEST(ComplexStep, DetectsAWrongGradient) {
  const TestCase problem = make_test_case({.rule = Rule::oja, .inputs = 3, .neurons = 4}, 4, 2, 3);
  for (const auto& [name, gradient] : gradients_of(problem)) {
    auto wrong = gradients_of(problem);
    for (double& value : wrong.at(name)) value += 1e-6;
    EXPECT_GT(check(problem, wrong).first, 1e-8) << name;
  }
}

// Softmax divides by the sum over all units. The current of a clamped unit therefore has a gradient, though
// its y has none.
TEST(ComplexStep, SoftmaxUnderAClamp) {
  const TestCase problem = make_test_case(
      {.cell = Cell::feedforward, .activation = Activation::softmax, .inputs = 3, .neurons = 4}, 3, 2, 5,
      {.clamp = true});
  expect_exact(problem);
  const auto gradients = gradients_of(problem);
  double clamped = 0;
  for (std::size_t k = 0; k < problem.clamp.size(); ++k) {
    if (problem.clamp[k] != 0) clamped += std::abs(gradients.at("input.u")[k]);
  }
  EXPECT_GT(clamped, 0);
}

}  // namespace
}  // namespace plasticity::testing
