// Sequences cut into windows, wanted and unwanted gradients, budgets, and what a NaN may reach.
#include <gtest/gtest.h>

#include <set>
#include <tuple>

#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

TEST(Windows, TheStateAndItsGradientCarryOver) {
  std::mt19937_64 random(50);
  for (int trial = 0; trial < 30; ++trial) {
    const Spec spec = random_spec(random, 9, 4);
    const std::int64_t T = 8, B = 3, cut = 1 + static_cast<std::int64_t>(random() % 7);
    const Problem problem = make_problem(spec, T, B, random());
    Buffers<double> whole(problem), parts(problem);
    ASSERT_TRUE(run_plan(problem, whole, {}));

    const auto window = [&](std::int64_t first, std::int64_t steps) {
      const Plan plan(spec,
                      {.steps = steps, .batch = B, .device = Device::cpu(1), .precision = Precision::f64});
      return std::tuple(plan, HostMemory(plan.tape_bytes()), HostMemory(plan.scratch_bytes()), first);
    };
    const auto early = window(0, cut), late = window(cut, T - cut);
    const auto shifted = [&](auto pointers, std::int64_t t) {
      using Group = decltype(pointers);
      for (const auto& member : Group::members()) {
        if (pointers.*member.pointer == nullptr) continue;
        pointers.*member.pointer += t * B * input_shape(spec, T, B, member.name)->size[2];
      }
      return pointers;
    };
    const auto forward = [&](const auto& part, bool is_late) {
      const auto& [plan, tape, scratch, first] = part;
      ForwardArgs<double> args = parts.forward;
      args.inputs = shifted(args.inputs, first);
      args.y += first * B * spec.neurons;
      if (args.modulation != nullptr) args.modulation += first * B;
      const State<double>& state = parts.forward.final_state;
      if (is_late) args.initial_state = {state.y, state.c, state.hebb, state.eligibility};
      plan.forward({}, args, tape.template as<Tape>(), scratch.template as<Scratch>());
    };
    forward(early, false);
    forward(late, true);
    EXPECT_EQ(whole.outputs, parts.outputs) << problem.name() << " cut at " << cut;

    const auto backward = [&](const auto& part, bool is_late) {
      const auto& [plan, tape, scratch, first] = part;
      BackwardArgs<double> args = parts.backward;
      args.inputs = shifted(args.inputs, first);
      args.dinputs = shifted(args.dinputs, first);
      args.dy += first * B * spec.neurons;
      args.initial_state = {};
      const State<double>& state = parts.backward.dinitial_state;
      if (!is_late) args.dfinal_state = {state.y, state.c, state.hebb, state.eligibility};
      plan.backward({}, args, tape.template as<Tape>(), scratch.template as<Scratch>());
    };
    backward(late, true);
    backward(early, false);
    const auto [error, tensor] = worst(parts.gradients, whole.gradients);
    EXPECT_LT(error, 1e-12) << tensor << " of " << problem.name() << " cut at " << cut;
  }
}

TEST(Windows, AnySubsetOfGradientsMayBeWanted) {
  std::mt19937_64 random(51);
  for (int trial = 0; trial < 40; ++trial) {
    const Problem problem = make_problem(random_spec(random, 9, 4), 5, 3, random(), random_masks(random));
    Buffers<double> all(problem), some(problem);
    ASSERT_TRUE(run_plan(problem, all, {}));
    std::set<std::string> dropped;
    const auto drop = [&](auto& group, const std::string& prefix) {
      for (const auto& member : std::remove_cvref_t<decltype(group)>::members()) {
        if (random() % 2 == 0) continue;
        group.*member.pointer = nullptr;
        dropped.insert(prefix + std::string(member.name));
      }
    };
    drop(some.backward.dparameters, "param.");
    drop(some.backward.dinputs, "input.");
    drop(some.backward.dinitial_state, "state.");
    ASSERT_TRUE(run_plan(problem, some, {}));
    for (const auto& [name, values] : all.gradients) {
      if (dropped.contains(name)) continue;
      EXPECT_EQ(values, some.gradients.at(name)) << name << " of " << problem.name();
    }
  }
}

TEST(Windows, AbsentTensorsAreZero) {
  const Spec spec{
      .rule = Rule::oja, .rate = Rate::modulated, .eligibility = Eligibility::after, .neurons = 7};
  Problem problem = make_problem(spec, 4, 2, 52);
  for (auto& [name, values] : problem.inputs) {
    if (name.starts_with("state.") || name == "input.u") std::fill(values.begin(), values.end(), 0.0);
  }
  for (auto& [name, values] : problem.upstream) {
    if (name.starts_with("state.")) std::fill(values.begin(), values.end(), 0.0);
  }
  Buffers<double> zeros(problem), absent(problem);
  absent.forward.initial_state = {};
  absent.forward.inputs.u = nullptr;
  absent.backward.inputs.u = nullptr;
  absent.backward.dfinal_state = {};
  ASSERT_TRUE(run_plan(problem, zeros, {}));
  ASSERT_TRUE(run_plan(problem, absent, {}));
  EXPECT_EQ(zeros.outputs, absent.outputs);
  EXPECT_EQ(zeros.gradients, absent.gradients);
}

TEST(Windows, TheTapeKeepsToItsBudget) {
  const Spec spec{.rule = Rule::hard_clip, .neurons = 64};
  const auto plan_with = [&](std::size_t budget, std::int64_t interval) {
    return Plan(spec, {.steps = 100,
                       .batch = 4,
                       .device = Device::cpu(1),
                       .checkpoint_interval = interval,
                       .memory_budget = budget});
  };
  EXPECT_EQ(plan_with(0, 0).checkpoint_interval(), 10);
  for (const std::int64_t interval : {2, 7, 50, 100}) {
    const std::size_t bytes = plan_with(0, interval).tape_bytes();
    const Plan plan = plan_with(bytes, 0);
    EXPECT_LE(plan.tape_bytes(), bytes);
    EXPECT_LE(plan.checkpoint_interval(), interval);
    // The next smaller interval that keeps another checkpoint would not have fitted.
    if (plan.checkpoint_interval() > 1) {
      EXPECT_GT(plan_with(0, plan.checkpoint_interval() - 1).tape_bytes(), bytes);
    }
  }
}

TEST(Windows, NanStaysInItsOwnSample) {
  std::mt19937_64 random(53);
  for (int trial = 0; trial < 20; ++trial) {
    const Spec spec = random_spec(random, 17, 4);
    Problem problem = make_problem(spec, 5, 3, random());
    Buffers<float> clean(problem);
    ASSERT_TRUE(run_plan(problem, clean, {}));
    for (auto& [name, values] : problem.inputs) {
      if (name == "state.hebb") values[17] = std::numeric_limits<double>::quiet_NaN();  // of sample 0
    }
    Buffers<float> sick(problem);
    ASSERT_TRUE(run_plan(problem, sick, {}));
    const auto& y = sick.outputs.at("y");
    for (std::size_t t = 0; t < 5; ++t) {
      for (std::size_t k = 17; k < 3 * 17; ++k)
        EXPECT_EQ(y[t * 3 * 17 + k], clean.outputs.at("y")[t * 3 * 17 + k]);
    }
    bool seen = false;
    for (std::size_t k = 0; k < 17; ++k) seen = seen || std::isnan(y[k]);
    for (std::size_t k = 0; k < 17; ++k) seen = seen || std::isnan(sick.outputs.at("state.hebb")[17]);
    EXPECT_TRUE(seen) << problem.name();
  }
}

}  // namespace
}  // namespace plasticity::testing
