// Cells without a plastic part (Granularity::none) against the reference, under the executions that they
// have.
#include "cuda/on_device.hpp"
#include "plasticity/network.hpp"
#include "problems/answers.hpp"
#include "problems/episode.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

class CudaNonplastic : public CudaTest {};

Answers<float> run(const TestCase& problem, const DeviceOptions& options) {
  Buffers<float> buffers(problem);
  on_device([&] { EXPECT_TRUE(run_cuda(problem, buffers, options)) << "canary of " << problem.name(); });
  return answers_in(buffers);
}

TEST_F(CudaNonplastic, MatchesTheReference) {
  std::mt19937_64 random(150);
  for (int trial = 0; trial < trials(120); ++trial) {
    const Spec spec =
        nonplastic_spec(random, pick<std::int64_t>(random, {1, 5, 8, 33, 40}), trial % 3 == 0 ? 34 : 5);
    TestCase problem =
        make_test_case(spec, static_cast<std::int64_t>(random() % 6), 3, random(), random_masks(random));
    if (trial % 2 == 0) problem = with_preactivation(problem);
    const Answers<double> want = reference_answers<double>(problem);
    const double tolerance = 2e-5 + 4 * inherent_error(problem, want);
    const Execution execution = trial % 4 < 2 ? Execution::step : Execution::graph;
    const Precision precision = trial % 5 == 0 ? Precision::bf16 : Precision::f32;  // has no traces to round
    expect_close(
        problem,
        run(problem, {.precision = precision, .checkpoint_interval = trial % 3, .execution = execution}),
        want, tolerance);
  }
}

TEST_F(CudaNonplastic, MisalignedTensorsAndSingleSteps) {
  std::mt19937_64 random(151);
  for (int trial = 0; trial < trials(40); ++trial) {
    const Spec spec = nonplastic_spec(random, trial % 2 == 0 ? 16 : 37, 5);
    MaskChoice masks = random_masks(random);
    masks.length = false;
    const TestCase problem = with_preactivation(make_test_case(spec, 6, 3, random(), masks));
    const Answers<double> want = reference_answers<double>(problem);
    const double tolerance = 2e-5 + 4 * inherent_error(problem, want);
    expect_close(problem, run(problem, {.offset = 4}), want, tolerance);
    const Answers<float> stepped = run(problem, {.single_steps = true});
    EXPECT_LT(worst(stepped.outputs, want.outputs).first, tolerance) << problem.name();
  }
}

TEST_F(CudaNonplastic, ASampleHasTheBitsThatItHasAlone) {
  std::mt19937_64 random(152);
  for (int trial = 0; trial < trials(20); ++trial) {
    const Spec spec = nonplastic_spec(random, trial % 2 == 0 ? 36 : 9, 5);
    const TestCase problem = make_test_case(spec, 4, 3, random(), random_masks(random));
    const Answers<float> batch = run(problem, {});
    for (std::int64_t b = 0; b < 3; b += 2) expect_same_alone(problem, batch, b, run(alone(problem, b), {}));
    EXPECT_EQ(run(problem, {.execution = Execution::graph}), batch);
  }
}

// Many elements: a block has two of them. They take long under a sanitizer.
TEST_F(CudaNonplastic, TwoElementsPerBlockHaveTheBitsOfOne) {
  std::mt19937_64 random(153);
  for (const Cell cell : {Cell::lstm, Cell::rnn, Cell::feedforward}) {
    if (sanitizer_share > 1 && cell != Cell::lstm) break;
    Spec spec = nonplastic_spec(random, 8, 5);
    spec.cell = cell;
    spec.activation = Activation::tanh;
    const TestCase problem = make_test_case(spec, 3, 900, random(), {.reset = true, .length = true});
    const Answers<float> batch = run(problem, {});
    for (const std::int64_t b : {0, 1, 899}) expect_same_alone(problem, batch, b, run(alone(problem, b), {}));
  }
}

TEST_F(CudaNonplastic, ANetworkMatchesTheCpu) {
  std::mt19937_64 random(154);
  for (int trial = 0; trial < trials(9); ++trial) {
    const Spec spec = nonplastic_spec(random, 7, 3);
    const Episode episode(spec, 4, 2, random(), {.reset = true});
    const Episode one(spec, 1, 2, random());
    on_device([&] {
      std::map<std::string, std::vector<float>> seen[2];
      for (const Device device : {Device::cpu(1), Device::cuda()}) {
        Network network(spec, {.batch = 2, .device = device, .seed = 5});
        network.forward(episode.sequence());
        network.backward(episode.target);
        auto& of = seen[device.kind() == DeviceKind::cpu ? 0 : 1];
        of["y"] = copied(network.infer(one.sequence()));
        for (const auto& [name, values] : snapshot(network)) of[name] = values;
      }
      const auto [error, name] = worst(seen[1], seen[0]);
      EXPECT_LT(error, 2e-5) << name << ' ' << to_string(spec);
    });
  }
}

TEST_F(CudaNonplastic, NeedsNoMemoryForTracesAndHasNoResidentExecution) {
  on_device([] {
    Spec spec{.alpha = Granularity::none, .inputs = 3, .neurons = 64};
    const PlanOptions options{.steps = 16, .batch = 4, .device = Device::cuda()};
    const Plan fixed(spec, options);
    EXPECT_EQ(fixed.execution(), Execution::graph);
    spec.alpha = Granularity::connection;
    const Plan plastic(spec, options);
    EXPECT_LT(fixed.tape_bytes(), plastic.tape_bytes() / 4);
    spec.alpha = Granularity::none;
    for (const Execution execution : {Execution::cta, Execution::cluster, Execution::grid}) {
      expect_error([&] { Plan(spec, {.device = Device::cuda(), .execution = execution}); },
                   ErrorCode::unsupported, "the cell has no traces to keep on chip");
    }
  });
}

}  // namespace
}  // namespace plasticity::testing
