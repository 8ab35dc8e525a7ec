// Results have the same bits for any number of threads, for a sample alone or in a batch, any checkpoint
// interval, a second backward pass, and single steps.
#include <gtest/gtest.h>

#include <thread>

#include "problems/answers.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

Answers<float> run(const TestCase& problem, const RunOptions& options) {
  Buffers<float> buffers(problem);
  EXPECT_TRUE(run_plan(problem, buffers, options)) << problem.name();
  return answers_in(buffers);
}

/// Random problems large enough for several threads and groups.
std::vector<TestCase> problems(std::uint64_t seed, int count, std::int64_t batch) {
  std::mt19937_64 random(seed);
  std::vector<TestCase> list;
  for (int trial = 0; trial < count; ++trial) {
    const Spec spec = random_spec(random, static_cast<std::int64_t>(20 + random() % 30), 5);
    list.push_back(make_test_case(spec, 11, batch, random(), random_masks(random)));
  }
  return list;
}

TEST(SameBits, ForAnyNumberOfThreads) {
  for (const TestCase& problem : problems(40, 25, 19)) {
    const Answers<float> one = run(problem, {.device = Device::cpu(1)});
    EXPECT_EQ(one, run(problem, {.device = Device::cpu(2)})) << problem.name();
    EXPECT_EQ(one, run(problem, {.device = Device::cpu(5)})) << problem.name();
  }
}

// Few samples and many neurons, so that threads share the columns of a sweep.
TEST(SameBits, IfThreadsShareASample) {
  std::mt19937_64 random(47);
  for (const std::int64_t neurons : {256, 300, 517}) {
    for (const std::int64_t batch : {1, 2, 3}) {
      const Spec spec = random_spec(random, neurons, 5);
      const TestCase problem = make_test_case(spec, 5, batch, random(), random_masks(random));
      const Answers<float> one = run(problem, {.device = Device::cpu(1)});
      for (const int threads : {2, 3, 7}) {
        EXPECT_EQ(one, run(problem, {.device = Device::cpu(threads)})) << problem.name() << " on " << threads;
      }
    }
  }
}

TEST(SameBits, ForAnyCheckpointInterval) {
  for (const TestCase& problem : problems(41, 25, 3)) {
    const Answers<float> stored = run(problem, {.checkpoint_interval = 1});
    for (const std::int64_t interval : {2, 5, 11, 100}) {
      EXPECT_EQ(stored, run(problem, {.checkpoint_interval = interval}))
          << problem.name() << " K=" << interval;
    }
    EXPECT_EQ(stored, run(problem, {})) << problem.name();
  }
}

TEST(SameBits, IfAlphaIsAddedLast) {
  std::mt19937_64 random(48);
  for (const bool masked : {false, true}) {
    const TestCase problem = make_test_case(large_spec(random, Cell::feedforward), 8, 2, random(),
                                            {.reset = masked, .length = masked});
    const Answers<float> stored = run(problem, {.checkpoint_interval = 1});
    for (const std::int64_t interval : {3, 7, 8}) {
      EXPECT_EQ(stored, run(problem, {.device = Device::cpu(3), .checkpoint_interval = interval}))
          << problem.name() << " K=" << interval;
    }
    expect_same_alone(problem, stored, 1, run(alone(problem, 1), {}));
  }
}

TEST(SameBits, ForAnyMemoryBudget) {
  for (const TestCase& problem : problems(46, 20, 3)) {
    const Answers<float> stored = run(problem, {.checkpoint_interval = 1});
    for (const std::int64_t interval : {1, 3, 11}) {
      const PlanOptions options{
          .steps = problem.steps, .batch = 3, .device = Device::cpu(1), .checkpoint_interval = interval};
      const std::size_t budget = Plan(problem.spec, options).tape_bytes();
      EXPECT_EQ(stored, run(problem, {.memory_budget = budget})) << problem.name() << " in " << budget;
    }
  }
}

TEST(SameBits, TheTapeFitsItsBudget) {
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
    // The next smaller interval that needs another checkpoint does not fit.
    if (plan.checkpoint_interval() > 1) {
      EXPECT_GT(plan_with(0, plan.checkpoint_interval() - 1).tape_bytes(), bytes);
    }
  }
}

TEST(SameBits, ForASampleAlone) {
  for (const TestCase& problem : problems(42, 15, 4)) {
    const Answers<float> batch = run(problem, {});
    for (std::int64_t b = 0; b < 4; ++b) {
      expect_same_alone(problem, batch, b, run(alone(problem, b), {}));
    }
  }
}

/// Returns the sum of the gradients of samples first .. first+count-1 in the order of communicator.hpp.
std::map<std::string, std::vector<float>> tree(const std::vector<Answers<float>>& samples, std::size_t first,
                                               std::size_t count) {
  std::map<std::string, std::vector<float>> sum;
  if (count == 1) {
    for (const auto& [name, values] : samples[first].gradients) {
      if (name.starts_with("param.")) sum[name] = values;
    }
    return sum;
  }
  const std::size_t left = (count + 1) / 2;
  sum = tree(samples, first, left);
  for (const auto& [name, values] : tree(samples, first + left, count - left)) {
    for (std::size_t k = 0; k < values.size(); ++k) sum[name][k] += values[k];
  }
  return sum;
}

// So that ranks with parts of a batch compute the gradients of the whole batch.
TEST(SameBits, GradientsAreATreeOverTheSamples) {
  std::mt19937_64 random(48);
  for (const std::int64_t batch : {2, 3, 5, 8, 15, 16, 17, 21, 32, 33, 35, 48, 67}) {
    for (int trial = 0; trial < 6; ++trial) {
      const std::int64_t N = trial == 5 ? 260 : static_cast<std::int64_t>(8 + random() % 60);
      if (trial == 5 && batch > 5) continue;
      const Spec spec = trial == 4 ? nonplastic_spec(random, N, 5) : random_spec(random, N, 5);
      const TestCase problem = make_test_case(spec, 7, batch, random(), random_masks(random));
      std::vector<Answers<float>> samples;
      for (std::int64_t b = 0; b < batch; ++b) samples.push_back(run(alone(problem, b), {}));
      const auto expected = tree(samples, 0, samples.size());
      const Answers<float> whole = run(problem, {.device = Device::cpu(3)});
      for (const auto& [name, values] : expected)
        EXPECT_EQ(whole.gradients.at(name), values) << name << " of " << problem.name();
    }
  }
}

TEST(SameBits, ForASecondBackwardPass) {
  for (const TestCase& problem : problems(43, 8, 3)) {
    const Plan plan(problem.spec, {.steps = problem.steps, .batch = problem.batch, .device = Device::cpu(2)});
    const GuardedMemory tape(plan.tape_bytes()), scratch(plan.scratch_bytes());
    Buffers<float> first(problem), second(problem);
    plan.forward({}, first.forward, tape.as<Tape>(), scratch.as<Scratch>());
    plan.backward({}, first.backward, tape.as<Tape>(), scratch.as<Scratch>());
    plan.backward({}, second.backward, tape.as<Tape>(), scratch.as<Scratch>());
    EXPECT_EQ(first.gradients, second.gradients) << problem.name();
  }
}

TEST(SameBits, ForStepsOneByOne) {
  std::mt19937_64 random(44);
  for (int trial = 0; trial < 34; ++trial) {
    // The last trials have matrices that exceed the L2 cache, which steps sweep in alternating directions.
    const bool large = trial >= 30;
    const std::int64_t B = large ? 1 : 3, N = large ? 517 + trial : 21;
    const Spec spec = random_spec(random, N, 5);
    MaskChoice masks = random_masks(random);
    masks.length = false;  // a single step has no length
    const TestCase problem = make_test_case(spec, 6, B, random(), masks);
    const Plan plan(spec, {.steps = 6, .batch = B, .device = Device::cpu(2)});
    const GuardedMemory step_state(plan.step_state_bytes()), scratch(plan.scratch_bytes());
    Buffers<float> whole(problem), stepped(problem);
    plan.forward({}, whole.forward, {}, scratch.as<Scratch>());
    plan.load({}, stepped.forward.initial_state, step_state.as<StepState>());
    for (std::int64_t t = 0; t < 6; ++t) {
      StepArgs<float> args;
      args.parameters = stepped.forward.parameters;
      for (const auto& member : Inputs<const float>::members()) {
        const float* values = stepped.forward.inputs.*member.pointer;
        if (values == nullptr) continue;
        args.inputs.*member.pointer = values + t * B * input_shape(spec, 6, B, member.name)->size[2];
      }
      if (masks.reset) args.masks.reset = problem.reset.data() + t * B;
      if (masks.clamp) {
        args.masks.clamp = problem.clamp.data() + t * B * N;
        args.masks.clamp_value = stepped.forward.masks.clamp_value + t * B * N;
      }
      args.y = stepped.forward.y + t * B * N;
      if (spec.has_modulator()) args.modulation = stepped.forward.modulation + t * B;
      plan.step({}, args, step_state.as<StepState>(), scratch.as<Scratch>());
      if (t == 2)
        plan.store({}, stepped.forward.final_state,
                   step_state.as<StepState>());  // storing the state does not change it
    }
    plan.store({}, stepped.forward.final_state, step_state.as<StepState>());
    EXPECT_TRUE(whole.outputs == stepped.outputs) << problem.name();
    EXPECT_TRUE(step_state.intact() && scratch.intact());
  }
}

TEST(SameBits, FromSeveralThreadsAtOnce) {
  const std::vector<TestCase> list = problems(45, 4, 9);
  std::vector<Answers<float>> want, got(list.size());
  for (const TestCase& problem : list) want.push_back(run(problem, {.device = Device::cpu(1)}));
  std::vector<std::thread> threads;
  for (std::size_t k = 0; k < list.size(); ++k) {
    threads.emplace_back([&, k] {
      for (int repeat = 0; repeat < 3; ++repeat) got[k] = run(list[k], {.device = Device::cpu(3)});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(got, want);
}

}  // namespace
}  // namespace plasticity::testing
