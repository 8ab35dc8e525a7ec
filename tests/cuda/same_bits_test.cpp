// Cases that must have the same bits on a device: a second run, a sample alone or in a batch, single steps, a
// replayed graph.
#include "cuda/on_device.hpp"
#include "problems/answers.hpp"
#include "support/on_threads.hpp"

namespace plasticity::testing {
namespace {

class CudaSameBits : public CudaTest {};

std::vector<TestCase> problems(std::uint64_t seed, int count, MaskChoice* fixed = nullptr) {
  std::mt19937_64 random(seed);
  std::vector<TestCase> list;
  for (int trial = 0; trial < trials(count); ++trial) {
    const Spec spec = random_spec(random, trial % 2 == 0 ? 36 : 35, 5);
    const MaskChoice masks = random_masks(random);
    list.push_back(make_test_case(spec, 5, 4, random(), fixed == nullptr ? masks : *fixed));
  }
  return list;
}

TEST_F(CudaSameBits, ForASecondRun) {
  for (const TestCase& problem : problems(70, 12)) {
    Buffers<float> first(problem), second(problem);
    on_device([&] { run_cuda(problem, first); });
    on_device([&] { run_cuda(problem, second); });
    EXPECT_EQ(first.outputs, second.outputs) << problem.name();
    EXPECT_EQ(first.gradients, second.gradients) << problem.name();
  }
}

TEST_F(CudaSameBits, ForASampleAlone) {
  for (const TestCase& problem : problems(71, 10)) {
    Buffers<float> batch(problem);
    on_device([&] { run_cuda(problem, batch); });
    for (std::int64_t b = 0; b < 4; b += 3) {
      const TestCase one = alone(problem, b);
      Buffers<float> single(one);
      on_device([&] { run_cuda(one, single); });
      expect_same_alone(problem, answers_in(batch), b, answers_in(single));
    }
  }
}

TEST_F(CudaSameBits, ForSingleSteps) {
  MaskChoice masks{.reset = true};
  for (const TestCase& problem : problems(72, 12, &masks)) {
    Buffers<float> sequence(problem), steps(problem);
    on_device([&] {
      run_cuda(problem, sequence);
      run_cuda(problem, steps, {.single_steps = true});
    });
    EXPECT_EQ(sequence.outputs, steps.outputs) << problem.name();
  }
}

/// Runs a problem by itself.
void run_alone(const TestCase& problem, Buffers<float>& buffers) {
  on_device([&] { EXPECT_TRUE(run_cuda(problem, buffers)) << "canary of " << problem.name(); });
}

void expect_same(const Buffers<float>& got, const Buffers<float>& want, const std::string& what) {
  EXPECT_EQ(got.outputs, want.outputs) << what;
  EXPECT_EQ(got.gradients, want.gradients) << what;
}

// A whole training pass, the products of cuBLAS and the sums of CUB in it too.
TEST_F(CudaSameBits, ForACapturedGraph) {
  for (const TestCase& problem : problems(73, 6)) {
    Buffers<float> want(problem), got(problem);
    run_alone(problem, want);
    on_device([&] {
      ProblemOnDevice gpu(problem, got);
      const OwnStream stream;
      const Stream on = stream;
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t executable = nullptr;
      ASSERT_EQ(cudaStreamBeginCapture(on.handle, cudaStreamCaptureModeThreadLocal), cudaSuccess);
      gpu.forward(stream);
      gpu.backward(stream);
      ASSERT_EQ(cudaStreamEndCapture(on.handle, &graph), cudaSuccess);
      ASSERT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
      for (int replay = 0; replay < 2; ++replay) {
        gpu.send();
        ASSERT_EQ(cudaGraphLaunch(executable, on.handle), cudaSuccess);
        EXPECT_TRUE(gpu.fetch(stream));
        expect_same(got, want, problem.name());
      }
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
    });
  }
}

// Whatever else the device has to do.
TEST_F(CudaSameBits, AHundredTimesOnABusyDevice) {
#if defined(PLASTICITY_SIMT_TEST)
  const int repeats = 3;  // the executor is slow
#else
  const int repeats = 100;
#endif
  for (const TestCase& problem : problems(74, 3)) {
    Buffers<float> want(problem), got(problem), others(problem);
    run_alone(problem, want);
    on_device([&] {
      ProblemOnDevice gpu(problem, got), other(problem, others);
      const OwnStream stream, busy;
      for (int repeat = 0; repeat < repeats; ++repeat) {
        gpu.send();
        other.forward(busy);
        gpu.forward(stream);
        other.backward(busy);
        gpu.backward(stream);
        EXPECT_TRUE(gpu.fetch(stream));
        expect_same(got, want, problem.name());
      }
      synchronize(Device::cuda(), busy);
    });
  }
}

// Distinct objects on distinct streams, from distinct threads.
TEST_F(CudaSameBits, OnThreadsOfTheirOwn) {
#if defined(PLASTICITY_SIMT_TEST)
  GTEST_SKIP() << "the executor runs kernels on one thread";
#else
  const std::vector<TestCase> all = problems(75, 4);
  std::vector<std::function<void()>> bodies;
  for (const TestCase& problem : all) {
    bodies.emplace_back([&problem] {
      Buffers<float> want(problem), got(problem);
      run_alone(problem, want);
      const ProblemOnDevice gpu(problem, got);
      const OwnStream stream;
      gpu.forward(stream);
      gpu.backward(stream);
      EXPECT_TRUE(gpu.fetch(stream));
      expect_same(got, want, problem.name());
    });
  }
  on_threads(bodies);
#endif
}

}  // namespace
}  // namespace plasticity::testing
