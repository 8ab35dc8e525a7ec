// The errors of float and bfloat16, and cases in which they must be exact.
#include <gtest/gtest.h>

#include <bit>
#include <set>
#include <string>

#include "cpu/rounded_traces.hpp"
#include "cpu/sweeps/bfloat16.hpp"
#include "problems/answers.hpp"
#include "problems/model.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

Answers<float> run(const TestCase& problem, const RunOptions& options) {
  Buffers<float> buffers(problem);
  EXPECT_TRUE(run_plan(problem, buffers, options)) << problem.name();
  return answers_in(buffers);
}

// At most 168 units in the last place of a norm, at any size. Problems near a corner are excluded: a float
// may be on the other side of it, and the gradient then differs by an unbounded amount.
TEST(Precision, FloatErrorsAreAFewUnitsInTheLastPlace) {
  std::mt19937_64 random(90);
  std::set<Rule> rules;
  std::set<Activation> activations;
  int compared = 0;
  for (const std::int64_t neurons : {1, 2, 31, 33, 130}) {
    for (const std::int64_t batch : {1, 3, 17}) {
      for (const std::int64_t steps : {1, 2, 19}) {
        const int specs = neurons * batch * steps > 3000 ? 2 : 8;
        for (int trial = 0; trial < specs; ++trial) {
          const Spec spec = random_spec(random, neurons, trial % 2 == 0 ? 7 : 34);
          const TestCase problem = make_test_case(spec, steps, batch, random(), random_masks(random));
          if (distance_to_corner(problem) < 1e-5) continue;
          ++compared;
          rules.insert(spec.rule);
          activations.insert(spec.activation);
          const Answers<double> want = reference_answers<double>(problem);
          const Answers<float> got = run(problem, {.device = Device::cpu(2)});
          const auto [output_error, output] = worst(got.outputs, want.outputs);
          const auto [gradient_error, gradient] = worst(got.gradients, want.gradients);
          EXPECT_LT(output_error, 3e-6) << output << " of " << problem.name();
          EXPECT_LT(gradient_error, 1e-5) << "gradient of " << gradient << " of " << problem.name();
        }
      }
    }
  }
  EXPECT_GT(compared, 150);
  EXPECT_EQ(rules.size(), names<Rule>().size());
  EXPECT_EQ(activations.size(), names<Activation>().size());
}

// Forward computes with float traces, also if it stores bfloat16 ones for backward.
TEST(Precision, BfloatOutputsEqualThoseOfFloat) {
  std::mt19937_64 random(91);
  for (int trial = 0; trial < 60; ++trial) {
    const TestCase problem = make_test_case(random_spec(random, 17, 6), 7, 3, random(), random_masks(random));
    EXPECT_EQ(run(problem, {.precision = Precision::bf16}).outputs, run(problem, {}).outputs)
        << problem.name();
  }
}

// With one checkpoint only the initial traces are rounded. If bfloat16 represents them exactly, the gradients
// are those of float.
TEST(Precision, BfloatIsExactIfItRepresentsTheTraces) {
  std::mt19937_64 random(92);
  int differ = 0;
  for (int trial = 0; trial < 60; ++trial) {
    TestCase problem = make_test_case(random_spec(random, 17, 6), 7, 3, random(), random_masks(random));
    const RunOptions bfloat{.precision = Precision::bf16, .checkpoint_interval = 7};
    const RunOptions single{.checkpoint_interval = 7};
    differ += run(problem, bfloat).gradients != run(problem, single).gradients;
    const cpu::RoundedTraces rounded(problem.spec);
    for (const char* name : {"state.hebb", "state.eligibility"}) {
      const auto found = problem.inputs.find(name);
      if (found == problem.inputs.end()) continue;
      for (double& value : found->second) {
        auto number = static_cast<float>(value);
        cpu::Bfloat16 kept = cpu::to_bfloat16(number);
        if (name == std::string("state.hebb")) {
          rounded.keep(1, &number, &kept);
          rounded.restore(1, &kept, &number);
        } else {
          number = cpu::to_float(kept);
        }
        value = number;
      }
    }
    EXPECT_EQ(run(problem, bfloat).gradients, run(problem, single).gradients) << problem.name();
  }
  EXPECT_GT(differ, 40);  // other traces are rounded, so the gradients differ
}

// Rounding a trace does not change whether its update is clipped. That would pass or stop a whole gradient,
// which is no rounding error. The tolerance is 2.6 units in the last place of bfloat16; the largest error in
// 4,800 such problems is 1.9.
TEST(Precision, BfloatKeepsTheSideOfTheClip) {
  std::mt19937_64 random(93);
  int differ = 0;
  for (int trial = 0; trial < 120; ++trial) {
    Spec spec = random_spec(random, 17, 6);
    spec.rule = trial % 2 == 0 ? Rule::hard_clip : Rule::read_clip;
    spec.clip = .05;  // many entries are near it
    const TestCase problem = make_test_case(spec, 9, 3, random(), random_masks(random));
    const Answers<float> want = run(problem, {}), got = run(problem, {.precision = Precision::bf16});
    const auto [error, gradient] = worst(got.gradients, want.gradients);
    EXPECT_LT(error, 1e-2) << gradient << " of " << problem.name();
    differ +=
        run(problem, {.precision = Precision::bf16, .checkpoint_interval = 9}).gradients != got.gradients;
  }
  EXPECT_GT(differ, 60);  // more steps from a rounded trace round differently
}

// An initial trace may be beyond the clip by less than bfloat16 resolves. If its update is zero, its gradient
// stops; that of a trace at the clip passes.
TEST(Precision, BfloatStopsTheGradientBeyondTheClip) {
  for (const double clip : {.05, .3, 1.503}) {
    const Spec spec{.cell = Cell::rnn,
                    .rule = Rule::hard_clip,
                    .activation = Activation::relu,
                    .neurons = 3,
                    .clip = clip};
    TestCase problem = make_test_case(spec, 2, 1, 94);
    const auto at = static_cast<double>(static_cast<float>(clip));
    problem.inputs["input.u"].assign(6, -10);  // y is zero, and with it the updates
    problem.inputs["state.hebb"] = {at, -at, at * (1 + 1e-4), -at * (1 + 1e-4), at * (1 - 1e-4), 2 * at, 0,
                                    0,  0};
    const auto want = run(problem, {}).gradients.at("state.hebb");
    for (const std::size_t k : {2u, 3u, 5u}) EXPECT_EQ(want[k], 0);
    for (const std::size_t k : {0u, 1u, 4u}) EXPECT_NE(want[k], 0);
    EXPECT_EQ(run(problem, {.precision = Precision::bf16}).gradients.at("state.hebb"), want) << clip;
  }
}

// A tape of bfloat16 traces takes about half the memory.
TEST(Precision, BfloatHalvesTheTape) {
  const Spec spec{.neurons = 256};
  const auto bytes = [&](Precision precision) {
    return Plan(spec, {.steps = 16, .batch = 2, .device = Device::cpu(1), .precision = precision})
        .tape_bytes();
  };
  EXPECT_LT(static_cast<double>(bytes(Precision::bf16)), .55 * static_cast<double>(bytes(Precision::f32)));
  EXPECT_GT(static_cast<double>(bytes(Precision::f64)), 1.9 * static_cast<double>(bytes(Precision::f32)));
}

TEST(Bfloat16, RoundsToTheNearestAndTiesToEven) {
  const auto bits = [](float value) { return cpu::to_bfloat16(value).bits; };
  EXPECT_EQ(bits(0.f), 0u);
  EXPECT_EQ(bits(-0.f), 0x8000u);
  EXPECT_EQ(bits(1.f), 0x3f80u);
  EXPECT_EQ(bits(-2.5f), 0xc020u);
  EXPECT_EQ(bits(0x1.01p0f), 0x3f80u);      // halfway to 1.0078125: down to even
  EXPECT_EQ(bits(0x1.03p0f), 0x3f82u);      // halfway between odd 1.0078125 and 1.015625: up to even
  EXPECT_EQ(bits(0x1.010002p0f), 0x3f81u);  // beyond halfway
  EXPECT_EQ(bits(0x1.02fffep0f), 0x3f81u);  // below it
  EXPECT_EQ(bits(INFINITY), 0x7f80u);
  EXPECT_EQ(bits(-INFINITY), 0xff80u);
  EXPECT_EQ(bits(std::numeric_limits<float>::max()), 0x7f80u);  // rounds up to infinity
  EXPECT_EQ(bits(std::numeric_limits<float>::denorm_min()), 0u);
  EXPECT_TRUE(std::isnan(cpu::to_float(cpu::to_bfloat16(NAN))));
  // A NaN whose upper half alone is infinity.
  EXPECT_TRUE(std::isnan(cpu::to_float(cpu::to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(Bfloat16, EveryValueRoundTrips) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const float value = cpu::to_float({static_cast<std::uint16_t>(bits)});
    if (std::isnan(value)) continue;
    ASSERT_EQ(cpu::to_bfloat16(value).bits, bits);
  }
}

}  // namespace
}  // namespace plasticity::testing
