// The tape of checkpoints on a device: the same bits whatever K, and K from a budget.
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "problems/answers.hpp"

namespace plasticity::testing {
namespace {

class CudaCheckpoints : public CudaTest {};

TEST_F(CudaCheckpoints, AnyIntervalGivesTheSameBits) {
  std::mt19937_64 random(120);
  for (int trial = 0; trial < trials(24); ++trial) {
    const std::int64_t steps = trial % 3 == 0 ? 17 : 6;
    const Spec spec = random_spec(random, trial % 2 == 0 ? 12 : 7, 4);
    const TestCase problem = make_test_case(spec, steps, 3, random(), random_masks(random));
    Buffers<float> stored(problem);
    on_device([&] { EXPECT_TRUE(run_cuda(problem, stored, {.checkpoint_interval = 1})); });
    for (const std::int64_t interval : {std::int64_t{0}, std::int64_t{2}, std::int64_t{3}, steps}) {
      Buffers<float> replayed(problem);
      on_device(
          [&] { EXPECT_TRUE(run_cuda(problem, replayed, {.checkpoint_interval = interval})) << interval; });
      EXPECT_EQ(stored.outputs, replayed.outputs) << problem.name() << " K=" << interval;
      EXPECT_EQ(stored.gradients, replayed.gradients) << problem.name() << " K=" << interval;
    }
  }
}

TEST_F(CudaCheckpoints, BudgetChoosesSmallestIntervalThatFits) {
  on_device([] {
    const Spec spec{
        .cell = Cell::rnn, .rule = Rule::hard_clip, .eligibility = Eligibility::none, .neurons = 9};
    const auto plan_of = [&](std::int64_t interval, std::size_t budget) {
      return Plan(spec, {.steps = 50,
                         .batch = 2,
                         .device = Device::cuda(),
                         .checkpoint_interval = interval,
                         .memory_budget = budget});
    };
    EXPECT_EQ(plan_of(0, 0).checkpoint_interval(), 8);
    EXPECT_EQ(plan_of(1000, 0).checkpoint_interval(), 50);
    for (std::int64_t interval = 1; interval <= 50; ++interval) {
      const Plan exact = plan_of(interval, 0);
      const Plan chosen = plan_of(0, exact.tape_bytes());
      EXPECT_EQ(chosen.tape_bytes(), exact.tape_bytes());
      EXPECT_LE(chosen.checkpoint_interval(), interval);
      if (chosen.checkpoint_interval() == 1) continue;
      EXPECT_GT(plan_of(chosen.checkpoint_interval() - 1, 0).tape_bytes(), exact.tape_bytes());
    }
    // The tape: vectors of 51 slots, in rows of 64 bytes, and one trace per checkpoint.
    const std::size_t vectors = 51 * 2 * 9 * sizeof(float), trace = 2 * 81 * sizeof(float);
    const auto rounded = [](std::size_t bytes) { return (bytes + 63) / 64 * 64; };
    EXPECT_EQ(plan_of(8, 0).tape_bytes(), rounded(vectors) + rounded(7 * trace));
    const std::size_t least = plan_of(50, 0).tape_bytes();
    EXPECT_EQ(plan_of(0, least).checkpoint_interval(), 50);
    EXPECT_THROW(plan_of(0, least - 1), Error);
  });
}

// A bfloat16 tape of checkpoints is as close as one of every step, if no entry is near its clip.
TEST_F(CudaCheckpoints, BfloatReplayStaysClose) {
  std::mt19937_64 random(121);
  for (int trial = 0; trial < trials(24); ++trial) {
    Spec spec = random_spec(random, trial % 2 == 0 ? 16 : 11, 6);
    constexpr Rule rules[] = {Rule::decay, Rule::oja, Rule::additive};
    spec.rule = rules[trial % 3];
    const TestCase problem = make_test_case(spec, 7, 3, random(), random_masks(random));
    const Answers<double> want = reference_answers<double>(problem);
    Buffers<float> got(problem);
    on_device([&] {
      EXPECT_TRUE(
          run_cuda(problem, got, {.precision = Precision::bf16, .checkpoint_interval = 2 + 5 * (trial % 2)}));
    });
    expect_close(problem, answers_in(got), want, 3e-2);
  }
}

// An entry at its clip is restored exactly at its clip.
TEST_F(CudaCheckpoints, BfloatReplayKeepsClippedEntries) {
  for (const double clip : {0.7, 0.702}) {  // no bfloat16: rounded down, rounded up
    const Spec spec{.cell = Cell::rnn,
                    .rule = Rule::hard_clip,
                    .alpha = Granularity::scalar,
                    .neurons = 12,
                    .clip = static_cast<float>(clip)};
    TestCase problem = make_test_case(spec, 8, 2, 122);
    for (double& entry : problem.inputs.at("state.hebb")) entry = std::copysign(spec.clip, entry);
    const auto run = [&](Precision precision) {
      Buffers<float> buffers(problem);
      on_device([&] { run_cuda(problem, buffers, {.precision = precision, .checkpoint_interval = 8}); });
      return buffers.gradients;
    };
    const auto exact = run(Precision::f32), rounded = run(Precision::bf16);
    for (const auto& [name, values] : exact) EXPECT_EQ(values, rounded.at(name)) << name;
  }
}

}  // namespace
}  // namespace plasticity::testing
