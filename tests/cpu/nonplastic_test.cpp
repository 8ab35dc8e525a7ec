// Cells without a plastic part (Granularity::none), compared with the reference and with a plastic cell whose
// alpha is zero.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/episode.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

TEST(Nonplastic, MatchesTheReference) {
  std::mt19937_64 random(31);
  for (int trial = 0; trial < 120; ++trial) {
    const Spec spec = nonplastic_spec(random, pick<std::int64_t>(random, {1, 5, 17, 33}), 4);
    TestCase problem =
        make_test_case(spec, static_cast<std::int64_t>(random() % 6), 11, random(), random_masks(random));
    if (trial % 2 == 0) problem = with_preactivation(problem);
    EXPECT_FALSE(problem.inputs.contains("param.alpha") || problem.inputs.contains("param.eta"));
    EXPECT_FALSE(problem.inputs.contains("state.hebb"));
    Buffers<double> want(problem), got(problem);
    reference::forward(spec, problem.steps, problem.batch, want.forward);
    reference::backward(spec, problem.steps, problem.batch, want.backward);
    ASSERT_TRUE(run_plan(problem, got, {.device = Device::cpu(2)}));
    const auto [output_error, output] = worst(got.outputs, want.outputs);
    EXPECT_LT(output_error, 1e-12) << output << ' ' << problem.name();
    const auto [error, name] = worst(got.gradients, want.gradients);
    EXPECT_LT(error, 1e-12) << name << ' ' << problem.name();
    Buffers<float> floats(problem);
    ASSERT_TRUE(run_plan(problem, floats, {.device = Device::cpu(2), .precision = Precision::bf16}));
    EXPECT_LT(worst(floats.gradients, want.gradients).first, 2e-5) << problem.name();
  }
}

TEST(Nonplastic, EqualsAPlasticCellWithoutAlpha) {
  std::mt19937_64 random(32);
  for (int trial = 0; trial < 40; ++trial) {
    const Spec spec = nonplastic_spec(random, 9, 3);
    Spec plastic = spec;
    plastic.rule = Rule::decay;
    plastic.alpha = Granularity::connection;
    TestCase problem = make_test_case(plastic, 5, 3, random(), random_masks(random)), fixed = problem;
    fixed.spec = spec;
    for (double& alpha : problem.inputs.at("param.alpha")) alpha = 0;
    for (double& upstream : problem.upstream.at("state.hebb")) upstream = 0;
    for (const char* name : {"param.alpha", "param.eta", "state.hebb"}) fixed.inputs.erase(name);
    fixed.upstream.erase("state.hebb");
    Buffers<double> want(problem), got(fixed);
    ASSERT_TRUE(run_plan(problem, want, {}) && run_plan(fixed, got, {}));
    for (const auto& [name, values] : got.outputs) {
      EXPECT_LT(difference(values, want.outputs.at(name)), 1e-12) << name << ' ' << problem.name();
    }
    for (const auto& [name, values] : got.gradients) {
      EXPECT_LT(difference(values, want.gradients.at(name)), 1e-12) << name << ' ' << problem.name();
    }
  }
}

TEST(Nonplastic, BitsDependNeitherOnTheBatchNorOnThreads) {
  std::mt19937_64 random(33);
  for (int trial = 0; trial < 20; ++trial) {
    const Spec spec = nonplastic_spec(random, 19, 3);
    const TestCase problem = make_test_case(spec, 5, 19, random(), {.reset = true, .length = true});
    Buffers<float> one(problem), four(problem);
    run_plan(problem, one, {.device = Device::cpu(1)});
    run_plan(problem, four, {.device = Device::cpu(4)});
    EXPECT_EQ(one.outputs, four.outputs);
    EXPECT_EQ(one.gradients, four.gradients);
    const TestCase single = alone(problem, 13);
    Buffers<float> sample(single);
    run_plan(single, sample, {});
    for (std::int64_t t = 0; t < 5; ++t) {
      const auto at = one.outputs.at("y").begin() + (t * 19 + 13) * 19;
      EXPECT_TRUE(std::equal(at, at + 19, sample.outputs.at("y").begin() + t * 19)) << problem.name();
    }
  }
}

TEST(Nonplastic, ANetworkStepsRecordsAndSaves) {
  std::mt19937_64 random(34);
  for (int trial = 0; trial < 12; ++trial) {
    const Spec spec = nonplastic_spec(random, 7, 3);
    const NetworkOptions options{.batch = 2, .device = Device::cpu(1), .seed = 3};
    Network whole(spec, options), cut(spec, options), stepped(spec, options), loaded(spec, options);
    const Episode all(spec, 9, 2, random(), {.reset = true});
    const std::vector<float> want = copied(whole.forward(all.sequence()));
    whole.backward(all.target);
    std::vector<float> windows, steps;
    for (std::int64_t t = 0; t < 9; ++t) {
      const TestCase part = window(all.problem, t, t + 1);
      const Buffers<float> buffers(part);
      const auto y = cut.forward(sequence_of(part, buffers)),
                 again = stepped.infer(sequence_of(part, buffers));
      windows.insert(windows.end(), y.begin(), y.end());
      steps.insert(steps.end(), again.begin(), again.end());
    }
    EXPECT_EQ(windows, want) << to_string(spec);
    EXPECT_EQ(steps, want) << to_string(spec);
    for (std::size_t t = 9; t-- > 0;) cut.backward(std::span(all.target).subspan(t * 14, 14));
    const auto a = whole.parameters(), b = cut.parameters();
    for (std::size_t k = 0; k < a.size(); ++k)
      EXPECT_LT(difference(copied(b[k].gradient), copied(a[k].gradient)), 2e-5) << a[k].name;
    io::TensorFile file;
    whole.save(file);
    whole.save_state(file);
    EXPECT_EQ(load_spec(file), spec);
    loaded.load(file);
    loaded.load_state(file);
    EXPECT_EQ(copied(loaded.infer(all.sequence())), copied(whole.infer(all.sequence())));
  }
}

}  // namespace
}  // namespace plasticity::testing
