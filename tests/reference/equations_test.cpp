// The reference's outputs compared with an independent implementation of the equations (problems/model.hpp).
// The parity cases cover a few specs; these tests cover all combinations.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "plasticity/reference.hpp"
#include "problems/model.hpp"

namespace plasticity::testing {
namespace {

using Tensors = std::map<std::string, std::vector<double>>;

// Both sides round sums of at most 12 products over 6 steps: 1e-16 per operation in double, 6e-8 in float.
constexpr double double_tolerance = 1e-14, float_tolerance = 5e-6;

Tensors model_answers(const TestCase& problem) {
  const std::int64_t T = problem.steps, B = problem.batch, N = problem.spec.neurons;
  Tensors answers;
  answers["y"].resize(static_cast<std::size_t>(T * B * N));
  if (problem.spec.has_modulator()) answers["modulation"].resize(static_cast<std::size_t>(T * B));
  for (std::int64_t b = 0; b < B; ++b) {
    Model model(problem, b);
    while (!model.finished()) {
      const Model::Step step = model.step();
      std::copy(step.y.begin(), step.y.end(), answers["y"].begin() + (step.t * B + b) * N);
      if (problem.spec.has_modulator())
        answers["modulation"][static_cast<std::size_t>(step.t * B + b)] = step.modulation;
    }
    const auto append = [&](const char* name, const std::vector<double>& values) {
      if (!state_shape(problem.spec, B, name)) return;
      std::vector<double>& all = answers["state." + std::string(name)];
      all.insert(all.end(), values.begin(), values.end());
    };
    append("y", model.y);
    append("c", model.c);
    append("hebb", model.hebb);
    append("eligibility", model.eligibility);
  }
  return answers;
}

template <class Real>
void expect_equations(const TestCase& problem, double tolerance) {
  Buffers<Real> buffers(problem);
  reference::forward(problem.spec, problem.steps, problem.batch, buffers.forward);
  const Tensors want = model_answers(problem);
  ASSERT_EQ(buffers.outputs.size(), want.size()) << problem.name();
  const auto [error, tensor] = worst(buffers.outputs, want);
  EXPECT_LE(error, tolerance) << tensor << " of " << problem.name();
}

TEST(Equations, WholeMatrix) {
  std::mt19937_64 random(69);
  for (const Spec& spec : every_mix(random, 5, 3))
    expect_equations<double>(make_test_case(spec, 6, 3, random(), random_masks(random)), double_tolerance);
}

TEST(Equations, RandomSpecs) {
  std::mt19937_64 random(70);
  for (int trial = 0; trial < 600; ++trial) {
    const auto neurons = pick<std::int64_t>(random, {1, 2, 3, 4, 5, 6});
    const auto inputs = pick<std::int64_t>(random, {1, 2, 3, 4, 5});
    const TestCase problem =
        make_test_case(random_spec(random, neurons, inputs), 6, 3, random(), random_masks(random));
    expect_equations<double>(problem, double_tolerance);
    expect_equations<float>(problem, float_tolerance);
  }
}

// random_spec() draws every pair of choices, and every_mix() lists every valid combination.
TEST(Equations, RandomSpecsCoverEveryPair) {
  std::set<std::string> pairs;
  std::mt19937_64 random(71);
  for (int trial = 0; trial < 600; ++trial) {
    const Spec spec = random_spec(random, 2, 3);
    const std::string choices[] = {"cell " + std::string(to_string(spec.cell)),
                                   "rule " + std::string(to_string(spec.rule)),
                                   "rate " + std::string(to_string(spec.rate)),
                                   "eligibility " + std::string(to_string(spec.eligibility)),
                                   "alpha " + std::string(to_string(spec.alpha))};
    for (const std::string& one : choices) {
      for (const std::string& other : choices) {
        if (one < other) pairs.insert(one + ", " + other);
      }
    }
    pairs.insert(std::string(to_string(spec.cell)) + ' ' + std::string(to_string(spec.activation)));
  }
  const std::size_t C = names<Cell>().size(), R = names<Rule>().size(), Q = names<Rate>().size(),
                    E = names<Eligibility>().size(), A = drawn_count<Granularity>();
  const std::size_t activations = names<Activation>().size();
  // Rate fixed is not valid with eligibility before and after. Two cells have every activation, the lstm
  // has 1.
  EXPECT_EQ(pairs.size(), C * R + C * Q + C * E + C * A + R * Q + R * E + R * A + (Q * E - 2) + Q * A +
                              E * A + 2 * activations + 1);
  std::set<std::tuple<Cell, Rule, Rate, Eligibility>> mixes;
  for (const Spec& spec : every_mix(random, 2, 3)) {
    EXPECT_NO_THROW(spec.validate());
    mixes.emplace(spec.cell, spec.rule, spec.rate, spec.eligibility);
  }
  EXPECT_EQ(mixes.size(), C * R * (Q * E - 2));
}

// The activity of random test cases neither dies nor saturates nor diverges, and clips have entries on both
// sides.
TEST(Equations, TestCasesAreNeitherDeadNorSaturated) {
  std::mt19937_64 random(72);
  for (int trial = 0; trial < 300; ++trial) {
    const std::int64_t sizes[] = {5, 12, 31, 130};
    const std::uint64_t seed = random();  // compilers evaluate arguments in different orders
    const TestCase problem = make_test_case(random_spec(random, sizes[trial % 4], 7), 19, 1, seed);
    double squares = 0, count = 0, middle = 0;
    std::int64_t limited = 0, free = 0;
    Model model(problem, 0);
    while (!model.finished()) {
      const Model::Step step = model.step();
      limited += step.limited;
      free += step.free;
      for (const double y : step.y) {
        squares += y * y;
        count += 1;
        middle += std::abs(y) < .95;
      }
    }
    for (const double value : model.hebb) EXPECT_LT(std::abs(value), 100) << problem.name();
    EXPECT_LT(std::sqrt(squares / count), 10) << problem.name();
    const bool shared = problem.spec.activation == Activation::softmax;
    const double dead = shared ? .5 / static_cast<double>(problem.spec.neurons) : .05;
    EXPECT_GT(std::sqrt(squares / count), dead) << problem.name();
    if (problem.spec.activation == Activation::tanh) {
      EXPECT_GT(middle / count, .5) << problem.name();
    }
    if (limited + free > 5000) {
      EXPECT_GT(limited, 0) << problem.name();
      EXPECT_GT(free, 0) << problem.name();
    }
  }
}

TEST(Equations, DistanceToCorner) {
  // One neuron whose only input is a current of 1/4: relu is 1/4 away from its corner.
  TestCase problem{{.activation = Activation::relu}, 1, 1, 0, {}, {}, {}, {}, {}};
  problem.inputs = {{"param.w", {0}}, {"param.alpha", {0}}, {"param.eta", {0}}, {"input.u", {.25}}};
  EXPECT_EQ(distance_to_corner(problem), .25);
  problem.spec = {.rule = Rule::hard_clip, .clip = 1};
  problem.inputs["state.hebb"] = {-.75};
  EXPECT_EQ(distance_to_corner(problem), .25);
  problem.inputs["state.hebb"] = {-1};  // equal to the bound in any precision
  EXPECT_EQ(distance_to_corner(problem), INFINITY);
}

}  // namespace
}  // namespace plasticity::testing
