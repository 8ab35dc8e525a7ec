// The pre-activation a as an output, and its upstream gradient.
#include <gtest/gtest.h>

#include "plasticity/plasticity.hpp"
#include "problems/answers.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

TEST(Preactivation, MatchesTheReference) {
  std::mt19937_64 random(71);
  for (const Spec& spec : every_mix(random, 19, 4)) {
    const TestCase problem = with_preactivation(make_test_case(spec, 7, 3, random(), random_masks(random)));
    const Answers<double> want = reference_answers<double>(problem);
    Buffers<double> exact(problem);
    EXPECT_TRUE(run_plan(problem, exact, {.device = Device::cpu(2), .checkpoint_interval = 3}));
    expect_close(problem, answers_in(exact), want, 1e-10);  // double rounding over 7 steps
    Buffers<float> rounded(problem);
    EXPECT_TRUE(run_plan(problem, rounded, {.device = Device::cpu(1)}));
    expect_close(problem, answers_in(rounded), want, 1e-4 + 20 * inherent_error(problem, want));
  }
}

TEST(Preactivation, ASingleStepHasIt) {
  const Spec spec{.cell = Cell::lstm, .inputs = 2, .neurons = 5};
  const TestCase problem = with_preactivation(make_test_case(spec, 1, 2, 3));
  const Plan plan(spec, {.batch = 2, .device = Device::cpu(1)});
  Buffers<float> whole(problem), stepped(problem);
  const DeviceMemory state(Device::cpu(1), plan.step_state_bytes()),
      scratch(Device::cpu(1), plan.scratch_bytes());
  plan.forward({}, whole.forward, {}, scratch.as<Scratch>());
  plan.load({}, stepped.forward.initial_state, state.as<StepState>());
  StepArgs<float> args;
  args.parameters = stepped.forward.parameters;
  args.inputs = stepped.forward.inputs;
  args.y = stepped.forward.y;
  args.a = stepped.forward.a;
  plan.step({}, args, state.as<StepState>(), scratch.as<Scratch>());
  EXPECT_EQ(whole.outputs.at("a"), stepped.outputs.at("a"));
  args.a = args.y;
  EXPECT_THROW(plan.step({}, args, state.as<StepState>(), scratch.as<Scratch>()), Error);
}

// A softmax that is certain of the wrong class. Through y the gradient is 0; through the pre-activation it is
// exact.
TEST(Preactivation, CrossEntropyOfACertainSoftmaxIsExact) {
  const Spec spec{.cell = Cell::feedforward, .activation = Activation::softmax, .inputs = 1, .neurons = 2};
  const Plan plan(spec, {.device = Device::cpu(1)});
  const DeviceMemory tape(Device::cpu(1), plan.tape_bytes()), scratch(Device::cpu(1), plan.scratch_bytes());
  for (const float strength : {120.0f, -120.0f}) {
    const std::vector<float> w{0, 0}, alpha{0, 0}, u{strength, -strength}, pre{1};
    const float eta = 0;
    std::vector<float> y(2), a(2), da(2), du(2);
    ForwardArgs<float> forward;
    forward.parameters = {.w = w.data(), .alpha = alpha.data(), .eta = &eta};
    forward.inputs = {.u = u.data(), .pre = pre.data()};
    forward.y = y.data();
    forward.a = a.data();
    plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
    EXPECT_EQ(a, u);
    const std::int64_t wrong = strength > 0 ? 1 : 0;
    EXPECT_EQ(softmax_cross_entropy(a, std::vector<std::int64_t>{wrong}, 2, da), 240);
    BackwardArgs<float> backward;
    backward.parameters = forward.parameters;
    backward.inputs = forward.inputs;
    backward.da = da.data();
    backward.dinputs.u = du.data();
    plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
    EXPECT_EQ(du, wrong == 1 ? (std::vector<float>{1, -1}) : (std::vector<float>{-1, 1}));
    EXPECT_EQ(softmax_cross_entropy(a, std::vector<std::int64_t>{1 - wrong}, 2, da), 0);
    EXPECT_EQ(da, (std::vector<float>{0, 0}));
  }
}

}  // namespace
}  // namespace plasticity::testing
