// Every execution against the reference, and the cases that must have the same bits: a sample alone, any
// checkpoint interval, windows of a sequence. The step kernels also have tests of their own; here they run in
// a graph.
#include "base/str_cat.hpp"
#include "cuda/on_device.hpp"
#include "plasticity/error.hpp"
#include "problems/answers.hpp"

namespace plasticity::testing {
namespace {

class CudaPaths : public ::testing::WithParamInterface<Execution>, public CudaTest {
 protected:
  DeviceOptions options(std::int64_t interval = 0) const {
    return {.checkpoint_interval = interval, .execution = GetParam()};
  }
  std::uint64_t seed(std::uint64_t base) const {
    return base + 1000 * static_cast<std::uint64_t>(GetParam());
  }
};

Answers<float> run(const TestCase& problem, const DeviceOptions& options) {
  Buffers<float> buffers(problem);
  on_device([&] { EXPECT_TRUE(run_cuda(problem, buffers, options)) << "canary of " << problem.name(); });
  return answers_in(buffers);
}

void expect_near(const TestCase& problem, double tolerance, const DeviceOptions& options) {
  const Answers<double> want = reference_answers<double>(problem);
  if (options.precision == Precision::f32) tolerance += 4 * inherent_error(problem, want);
  expect_close(problem, run(problem, options), want, tolerance);
}

TEST_P(CudaPaths, OddSizes) {
  std::mt19937_64 random(seed(140));
  const std::uint64_t share = GetParam() == Execution::graph ? 12 : 6;
  for (const std::int64_t neurons : {1, 2, 3, 5, 8, 17, 31, 33, 65, 130, 151}) {
    // One block has at most 128 columns, with an eligibility trace 64.
    if (GetParam() == Execution::cta && neurons > 128) continue;
    for (const std::int64_t batch : {1, 3, 5}) {
      for (const std::int64_t steps : {1, 2, 6}) {
        if (neurons * neurons * batch * steps > 20000 / sanitizer_share && random() % share != 0)
          continue;  // a share of the slow ones
        const std::int64_t inputs = random() % 2 == 0 ? 7 : 40;
        Spec spec = random_spec(random, neurons, inputs);
        if (GetParam() == Execution::cta && neurons > 64) spec.eligibility = Eligibility::none;
        expect_near(make_test_case(spec, steps, batch, random(), random_masks(random)), 2e-5, options());
      }
    }
  }
}

TEST_P(CudaPaths, WholeMatrix) {
  std::mt19937_64 random(seed(141));
  int trial = 0;
  for (const Spec& spec : every_mix(random, 7, 4)) {
    if (++trial % 2 == 0 && GetParam() != Execution::cluster) continue;
    expect_near(make_test_case(spec, 5, 3, random(), random_masks(random)), 2e-5, options(trial % 4));
  }
}

TEST_P(CudaPaths, Softmax) {
  std::mt19937_64 random(seed(142));
  for (int trial = 0; trial < trials(12); ++trial) {
    Spec spec = random_spec(random, trial % 2 == 0 ? 12 : 35, 6);
    if (spec.cell == Cell::lstm) spec.cell = Cell::rnn, spec.modulator_source = ModulatorSource::hidden;
    spec.activation = Activation::softmax;
    expect_near(make_test_case(spec, 5, 2, random(), random_masks(random)), 2e-5, options());
  }
}

TEST_P(CudaPaths, ThePreactivationAndItsGradient) {
  std::mt19937_64 random(seed(148));
  int trial = 0;
  for (Spec spec : every_mix(random, 35, 4)) {
    if (++trial % 4 != 0) continue;
    if (trial % 12 == 0 && spec.cell != Cell::lstm) spec.activation = Activation::softmax;
    const TestCase problem = with_preactivation(make_test_case(spec, 5, 3, random(), random_masks(random)));
    expect_near(problem, 2e-5, options());
  }
}

TEST_P(CudaPaths, BfloatTapeStaysClose) {
  std::mt19937_64 random(seed(143));
  for (int trial = 0; trial < trials(20); ++trial) {
    Spec spec = random_spec(random, trial % 2 == 0 ? 16 : 11, 6);
    if (spec.rule == Rule::soft_clip) spec.rule = Rule::hard_clip;  // see values_test.cpp
    DeviceOptions rounded = options();
    rounded.precision = Precision::bf16;
    expect_near(make_test_case(spec, 7, 3, random(), random_masks(random)), 3e-2, rounded);
  }
}

// As on the CPU (precision_test.cpp): an output of zero leaves the traces as they are, at the clip, within it
// or beyond it.
TEST_P(CudaPaths, BfloatStopsTheGradientBeyondTheClip) {
  const Spec spec{
      .cell = Cell::rnn, .rule = Rule::hard_clip, .activation = Activation::relu, .neurons = 6, .clip = .3};
  TestCase problem = make_test_case(spec, 2, 1, 149);
  const auto at = static_cast<double>(.3f);
  problem.inputs["input.u"].assign(12, -10);
  std::vector<double>& hebb = problem.inputs["state.hebb"];
  for (std::size_t k = 0; k < hebb.size(); ++k)
    hebb[k] = std::array{at, -at, at * (1 + 1e-4), -at * (1 + 1e-4), at * (1 - 1e-4), 2 * at}[k % 6];
  DeviceOptions rounded = options();
  rounded.precision = Precision::bf16;
  const auto want = run(problem, options()).gradients.at("state.hebb");
  for (std::size_t k = 0; k < hebb.size(); ++k) EXPECT_EQ(want[k] == 0, std::abs(hebb[k]) > at) << k;
  EXPECT_EQ(run(problem, rounded).gradients.at("state.hebb"), want);
}

TEST_P(CudaPaths, EmptySizes) {
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec{.cell = cell, .rule = Rule::oja, .inputs = 3, .neurons = 5};
    const TestCase still = make_test_case(spec, 0, 2, 144), none = make_test_case(spec, 3, 0, 145);
    const Answers<float> kept = run(still, options()), nothing = run(none, options());
    for (const auto& [name, values] : kept.outputs) {
      if (name.starts_with("state.")) {
        EXPECT_EQ(difference(values, still.inputs.at(name)), 0) << name;
      }
    }
    for (const auto& [name, values] : kept.gradients) {
      if (name.starts_with("state.")) {
        EXPECT_EQ(difference(values, still.upstream.at(name)), 0) << name;
      }
    }
    for (const float value : nothing.gradients.at("param.w")) EXPECT_EQ(value, 0);
  }
}

TEST_P(CudaPaths, SameBitsForAnyInterval) {
  std::mt19937_64 random(seed(146));
  for (int trial = 0; trial < trials(8); ++trial) {
    const Spec spec = random_spec(random, trial % 2 == 0 ? 12 : 7, 4);
    const TestCase problem = make_test_case(spec, 7, 3, random(), random_masks(random));
    const Answers<float> stored = run(problem, options(1));
    for (const std::int64_t interval : {0, 1, 2, 3, 7})
      EXPECT_EQ(stored, run(problem, options(interval))) << problem.name() << " K=" << interval;
  }
}

TEST_P(CudaPaths, SameBitsForASampleAlone) {
  constexpr std::int64_t T = 4, B = 3;
  std::mt19937_64 random(seed(147));
  for (int trial = 0; trial < 6; ++trial) {
    const Spec spec = random_spec(random, trial % 2 == 0 ? 36 : 9, 5);
    const TestCase problem = make_test_case(spec, T, B, random(), random_masks(random));
    const Answers<float> batch = run(problem, options());
    for (std::int64_t b = 0; b < B; b += 2) {
      expect_same_alone(problem, batch, b, run(alone(problem, b), options()));
    }
  }
}

/// Expects `group` of two windows to equal that of the whole sequence, except for parameters.
void expect_joined(const std::map<std::string, std::vector<float>>& whole,
                   const std::map<std::string, std::vector<float>>& first,
                   const std::map<std::string, std::vector<float>>& second, bool state_of_second,
                   const std::string& what) {
  for (const auto& [name, values] : whole) {
    if (name.starts_with("param.")) continue;
    std::vector<float> joined = first.at(name);
    if (!name.starts_with("state.")) {
      joined.insert(joined.end(), second.at(name).begin(), second.at(name).end());
    } else if (state_of_second) {
      joined = second.at(name);
    }
    EXPECT_EQ(joined, values) << name << " of " << what;
  }
}

TEST_P(CudaPaths, WindowsHaveTheBitsOfTheWhole) {
  constexpr std::int64_t T = 6;
  std::mt19937_64 random(seed(148));
  for (int trial = 0; trial < 6; ++trial) {
    const Spec spec = random_spec(random, trial % 2 == 0 ? 12 : 7, 4);
    const TestCase problem =
        make_test_case(spec, T, 2, random(), {.reset = trial % 3 == 0, .clamp = trial % 3 == 1});
    const Answers<float> whole = run(problem, options());
    const std::int64_t cut = 1 + static_cast<std::int64_t>(random() % (T - 1));
    TestCase first = window(problem, 0, cut), second = window(problem, cut, T);
    const Answers<float> forward = run(first, options());
    for (auto& [name, values] : second.inputs) {
      if (!name.starts_with("state.")) continue;
      const std::vector<float>& state = forward.outputs.at(name);
      values.assign(state.begin(), state.end());
    }
    const Answers<float> after = run(second, options());
    expect_joined(whole.outputs, forward.outputs, after.outputs, true, problem.name());
    for (auto& [name, values] : first.upstream) {
      if (!name.starts_with("state.")) continue;
      const std::vector<float>& gradient = after.gradients.at(name);
      values.assign(gradient.begin(), gradient.end());
    }
    const Answers<float> before = run(first, options());
    expect_joined(whole.gradients, before.gradients, after.gradients, false, problem.name());
  }
}

// Shapes that small sizes do not have: more than one tile of columns per block, weights that do not fit on
// chip.
TEST_P(CudaPaths, LargerShapes) {
  std::mt19937_64 random(seed(149));
  struct Shape {
    std::int64_t inputs, neurons;
  };
  const bool one_block = GetParam() == Execution::cta;
  for (const Shape shape : {Shape{one_block ? 120 : 200, 70}, Shape{3, 128}}) {
    Spec spec = random_spec(random, shape.neurons, shape.inputs);
    if (one_block) spec.eligibility = Eligibility::none;
    spec.cell = shape.inputs > 100 ? Cell::feedforward : Cell::rnn;
    spec.modulator_source = ModulatorSource::hidden;
    spec.alpha = Granularity::connection;
    expect_near(make_test_case(spec, 2, 1, random()), 2e-5, options());
  }
}

// 21 blocks of 16 columns: in groups of more than 16 blocks, a column's threads share the sum over blocks.
class CudaLargeGroups : public CudaTest {};

TEST_F(CudaLargeGroups, AddUpRows) {
  const Spec spec{.cell = Cell::rnn,
                  .rule = Rule::hard_clip,
                  .rate = Rate::modulated,
                  .eligibility = Eligibility::before,
                  .neurons = 330};
  expect_near(make_test_case(spec, 2, 1, 150), 2e-5, {.execution = Execution::grid});
}

// More blocks than every device with clusters must take: a part of one may have no room for them.
TEST_F(CudaLargeGroups, ClusterOfSixteen) {
  const Spec spec{.cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::modulated, .neurons = 500};
  const DeviceOptions options{.execution = Execution::cluster};
#if !defined(PLASTICITY_SIMT_TEST)
  try {
    Plan(spec, {.steps = 2, .device = Device::cuda(), .execution = Execution::cluster});
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unsupported) throw;
    GTEST_SKIP() << error.what();
  }
#endif
  expect_near(make_test_case(spec, 2, 1, 151), 2e-5, options);
}

// Every execution has the bits of step: also in bf16, if the tape has every step. The gradient of alpha per
// connection is the exception. Its sum has another order, and in bf16 some executions read rounded traces.
class CudaExecutions : public CudaTest {};

void expect_bits_of_step(const TestCase& problem, DeviceOptions options, double tolerance) {
  options.execution = Execution::step;
  const Answers<float> want = run(problem, options);
  for (const Execution execution : {Execution::graph, Execution::cta, Execution::cluster, Execution::grid}) {
    options.execution = execution;
    Answers<float> got = run(problem, options);
    const std::string what = str_cat(to_string(execution), ' ', problem.name());
    for (const auto& [name, values] : want.outputs)
      EXPECT_EQ(got.outputs.at(name), values) << name << ' ' << what;
    for (const auto& [name, values] : want.gradients) {
      if (name == "param.alpha" && problem.spec.alpha == Granularity::connection) {
        EXPECT_LT(difference(got.gradients.at(name), values), tolerance) << what;
      } else {
        EXPECT_EQ(got.gradients.at(name), values) << name << ' ' << what;
      }
    }
  }
}

TEST_F(CudaExecutions, HaveTheSameBits) {
  std::mt19937_64 random(152);
  for (int trial = 0; trial < trials(9); ++trial) {
    Spec spec = random_spec(random, trial % 3 == 0 ? 36 : trial % 3 == 1 ? 35 : 9, 5);
    // In blocks of 8 columns an LSTM has other bits, and the planner avoids them.
    if (spec.cell == Cell::lstm) spec.neurons = 36;
    const TestCase problem = make_test_case(spec, 5, 3, random(), random_masks(random));
    expect_bits_of_step(problem, {}, 1e-5);
    expect_bits_of_step(problem, {.precision = Precision::bf16, .checkpoint_interval = 1}, 1e-2);
  }
}

INSTANTIATE_TEST_SUITE_P(Each, CudaPaths,
                         ::testing::Values(Execution::graph, Execution::cta, Execution::cluster,
                                           Execution::grid),
                         [](const auto& one) { return std::string(to_string(one.param)); });

}  // namespace
}  // namespace plasticity::testing
