// Resets, lengths, clamps and clips of the reference.
#include <gtest/gtest.h>

#include "problems/answers.hpp"

namespace plasticity::testing {
namespace {

const Spec retroactive{.rule = Rule::hard_clip,
                       .rate = Rate::modulated,
                       .eligibility = Eligibility::before,
                       .inputs = 3,
                       .neurons = 4,
                       .clip = .5};

Answers<double> run(const TestCase& problem) { return reference_answers<double>(problem); }

/// Row (t, b) of a sequence [T,B,columns].
std::vector<double> row(const std::vector<double>& values, std::int64_t t, std::int64_t B, std::int64_t b,
                        std::int64_t columns) {
  const auto first = values.begin() + (t * B + b) * columns;
  return {first, first + columns};
}

TEST(Reference, AfterItsLengthAnElementDoesNotChange) {
  TestCase problem = make_test_case(retroactive, 6, 3, 1);
  problem.length = {6, 2, 0};
  const Answers<double> result = run(problem);
  for (std::int64_t t = 2; t < 6; ++t) {
    for (const double value : row(result.outputs.at("y"), t, 3, 1, 4)) EXPECT_EQ(value, 0);
    for (const double value : row(result.gradients.at("input.x"), t, 3, 1, 3)) EXPECT_EQ(value, 0);
    EXPECT_EQ(result.outputs.at("modulation")[static_cast<std::size_t>(t * 3 + 1)], 0);
  }
  // The final state of element 1 is that after step 1; element 2 keeps its initial state.
  TestCase shorter = make_test_case(retroactive, 6, 3, 1);
  shorter.length = {2, 2, 2};
  const Answers<double> until = run(shorter);
  for (std::size_t k = 16; k < 32; ++k) {
    EXPECT_EQ(result.outputs.at("state.hebb")[k], until.outputs.at("state.hebb")[k]);
  }
  for (std::size_t k = 32; k < 48; ++k) {
    EXPECT_EQ(result.outputs.at("state.hebb")[k], problem.inputs.at("state.hebb")[k]);
    EXPECT_EQ(result.gradients.at("state.hebb")[k], problem.upstream.at("state.hebb")[k]);
  }
}

TEST(Reference, ResetStopsTheGradient) {
  TestCase problem = make_test_case(retroactive, 4, 2, 2);
  problem.reset = {0, 0, 0, 0, 1, 0, 0, 0};  // element 0 before step 2
  std::fill(problem.upstream.at("y").begin(), problem.upstream.at("y").begin() + 2 * 2 * 4,
            0.0);  // steps 0 and 1
  const Answers<double> result = run(problem);
  for (std::int64_t t = 0; t < 2; ++t) {
    for (const double value : row(result.gradients.at("input.x"), t, 2, 0, 3)) EXPECT_EQ(value, 0);
  }
  double other = 0;
  for (const double value : row(result.gradients.at("input.x"), 1, 2, 1, 3)) other += std::abs(value);
  EXPECT_GT(other, 0);
  for (std::size_t k = 0; k < 16; ++k) EXPECT_EQ(result.gradients.at("state.hebb")[k], 0);
}

TEST(Reference, ClampSetsTheOutputAndStopsTheGradient) {
  const TestCase problem = make_test_case({.neurons = 5}, 4, 2, 3, {.clamp = true});
  const Answers<double> result = run(problem);
  for (std::size_t k = 0; k < problem.clamp.size(); ++k) {
    if (problem.clamp[k] == 0) continue;
    EXPECT_EQ(result.outputs.at("y")[k], problem.inputs.at("clamp_value")[k]);
    EXPECT_EQ(result.gradients.at("input.u")[k], 0);
  }
}

TEST(Reference, LstmClampSetsTheCandidate) {
  TestCase problem = make_test_case({.cell = Cell::lstm, .inputs = 2, .neurons = 3}, 1, 1, 4);
  problem.clamp = {1, 1, 1};
  problem.inputs["clamp_value"] = {.5, -.25, 0};
  problem.inputs.at("state.c") = {0, 0, 0};
  const Answers<double> result = run(problem);
  const auto& c = result.outputs.at("state.c");
  EXPECT_GT(c[0], 0);  // i g with i in (0, 1)
  EXPECT_LT(c[0], .5);
  EXPECT_LT(c[1], 0);
  EXPECT_EQ(c[2], 0);
}

TEST(Reference, GradientsOfParametersAreAdded) {
  const TestCase problem = make_test_case({.inputs = 2, .neurons = 3}, 3, 2, 5);
  Buffers<double> once(problem), twice(problem);
  reference::backward(problem.spec, 3, 2, once.backward);
  reference::backward(problem.spec, 3, 2, twice.backward);
  reference::backward(problem.spec, 3, 2, twice.backward);
  const double tolerance = 1e-14;  // a few roundings of 1e-16 of sums near 1, in another order
  for (std::size_t k = 0; k < 9; ++k) {
    EXPECT_NEAR(twice.gradients.at("param.w")[k], 2 * once.gradients.at("param.w")[k], tolerance);
  }
  EXPECT_EQ(once.gradients.at("input.x"), twice.gradients.at("input.x"));
}

TEST(Reference, NanStaysNan) {
  TestCase problem =
      make_test_case({.rule = Rule::hard_clip, .activation = Activation::relu, .neurons = 3}, 2, 2, 6);
  problem.inputs.at("input.u")[0] = std::numeric_limits<double>::quiet_NaN();
  const Answers<double> result = run(problem);
  EXPECT_TRUE(std::isnan(result.outputs.at("y")[0]));
  for (const double value : row(result.outputs.at("y"), 1, 2, 0, 3)) EXPECT_TRUE(std::isnan(value));
  for (const double value : row(result.outputs.at("y"), 1, 2, 1, 3)) EXPECT_FALSE(std::isnan(value));
}

// A value that equals the clip is within it, in every type. The float nearest to .2 is above .2.
template <class Real>
void expect_through_clip(Rule rule) {
  const Spec spec{.cell = Cell::feedforward, .rule = rule, .inputs = 2, .neurons = 3, .clip = .2};
  TestCase problem = make_test_case(spec, 1, 1, 5);
  problem.inputs.at("state.hebb").assign(6, spec.clip);
  problem.inputs.at("param.eta").assign(1, 0);                                 // the trace does not change
  if (rule == Rule::hard_clip) problem.inputs.at("param.alpha").assign(6, 0);  // only through the update
  const Answers<Real> answers = reference_answers<Real>(problem);
  for (std::size_t k = 0; k < 6; ++k) {
    EXPECT_EQ(answers.outputs.at("state.hebb")[k], static_cast<Real>(spec.clip));
    const Real got = answers.gradients.at("state.hebb")[k];
    const auto update = static_cast<Real>(problem.upstream.at("state.hebb")[k]);
    if (rule == Rule::hard_clip) {
      EXPECT_EQ(got, update);
    } else {
      EXPECT_NE(got, update);  // the read contributes too
    }
  }
}

TEST(Reference, GradientPassesAtTheClipValue) {
  for (const Rule rule : {Rule::hard_clip, Rule::read_clip}) {
    expect_through_clip<float>(rule);
    expect_through_clip<double>(rule);
  }
}

}  // namespace
}  // namespace plasticity::testing
