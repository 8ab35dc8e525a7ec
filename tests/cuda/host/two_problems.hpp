#pragma once

#include <functional>
#include <future>
#include <optional>

#include "cuda/on_device.hpp"

namespace plasticity::testing {

/// Two problems on the device that are run by the same kernels.
struct TwoProblems {
  TestCase problem, other_problem;
  Buffers<float> want, got, other_want, other_got;
  std::optional<ProblemOnDevice> first, second;

  TwoProblems(std::int64_t neurons, std::int64_t other_neurons, Execution execution, std::int64_t steps = 2)
      : problem(make_test_case(spec(neurons), steps, 1, 160)),
        other_problem(make_test_case(spec(other_neurons), steps, 1, 161)),
        want(problem),
        got(problem),
        other_want(other_problem),
        other_got(other_problem) {
    run_cuda(problem, want, {.execution = execution});
    run_cuda(other_problem, other_want, {.execution = execution});
    first.emplace(problem, got, DeviceOptions{.execution = execution});
    second.emplace(other_problem, other_got, DeviceOptions{.execution = execution});
  }
  static Spec spec(std::int64_t neurons) {
    return {.cell = Cell::rnn, .rule = Rule::hard_clip, .neurons = neurons};
  }
  void expect_answers(Stream stream, Stream other_stream) {
    EXPECT_TRUE(first->fetch(stream));
    EXPECT_TRUE(second->fetch(other_stream));
    EXPECT_EQ(got.outputs, want.outputs);
    EXPECT_EQ(got.gradients, want.gradients);
    EXPECT_EQ(other_got.outputs, other_want.outputs);
    EXPECT_EQ(other_got.gradients, other_want.gradients);
  }
};

/// Runs `call` on a thread of its own, to its end.
inline void on_a_thread(const std::function<void()>& call) { std::async(std::launch::async, call).get(); }

}  // namespace plasticity::testing
