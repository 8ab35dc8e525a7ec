// A tuning build has a second exchange between the blocks of a group (Arrival::counted). It has the bits of
// the first.
#include "cuda/alternatives.hpp"
#include "cuda/on_device.hpp"
#include "cuda/planner.hpp"
#include "plasticity/error.hpp"
#include "support/environment.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

using cuda::Arrival;
using cuda::GroupKind;

constexpr const char* variable = "PLASTICITY_ARRIVAL";

class CudaArrival : public CudaTest {
 protected:
  void SetUp() override {
    CudaTest::SetUp();
    if (!cuda::build_has_alternatives())
      GTEST_SKIP() << "this build has no alternatives: PLASTICITY_TUNING is OFF";
  }
};

/// The first shape that fits a device like an H100.
cuda::GroupShape first_shape(const Spec& spec, GroupKind kind) {
  const cuda::DeviceLimits h100{
      .multiprocessors = 132, .shared_bytes = 227 * 1024, .cluster_blocks = 16, .cooperative = true};
  std::string reason;
  return cuda::shapes_that_fit(spec, false, h100, kind, reason).front().group;
}

void expect_bits_of_barrier(const TestCase& problem, DeviceOptions options) {
  for (const Execution execution : {Execution::cluster, Execution::grid}) {
    options.execution = execution;
    const auto run = [&](const char* arrival) {
      const EnvironmentVariable chosen(variable, arrival);
      Buffers<float> buffers(problem);
      on_device([&] { EXPECT_TRUE(run_cuda(problem, buffers, options)) << "canary of " << problem.name(); });
      return std::pair(buffers.outputs, buffers.gradients);
    };
    EXPECT_EQ(run("counted"), run("barrier")) << to_string(execution) << ' ' << problem.name();
  }
}

TEST_F(CudaArrival, CountedHasTheBitsOfABarrier) {
  std::mt19937_64 random(160);
  for (int trial = 0; trial < trials(18); ++trial) {
    Spec spec = random_spec(random, trial % 3 == 0 ? 36 : trial % 3 == 1 ? 35 : 9, 5);
    spec.cell = trial % 6 == 5 ? Cell::lstm : trial % 6 == 4 ? Cell::feedforward : Cell::rnn;
    if (spec.cell == Cell::feedforward) spec.inputs = 40;
    if (spec.cell != Cell::lstm) spec.modulator_source = ModulatorSource::hidden;
    if (spec.cell == Cell::lstm) spec.activation = Activation::tanh;
    if (trial % 6 == 2) spec.activation = Activation::softmax, spec.cell = Cell::rnn;
    expect_bits_of_barrier(make_test_case(spec, 5, 3, random(), random_masks(random)), {});
  }
}

// Several elements of different lengths in one group, and a rounded tape.
TEST_F(CudaArrival, CountedKeepsTheElementsOfAGroupApart) {
  std::mt19937_64 random(161);
  for (int trial = 0; trial < trials(4); ++trial) {
    Spec spec{
        .cell = Cell::rnn, .rule = Rule::hard_clip, .rate = Rate::fan_out, .neurons = trial < 2 ? 20 : 36};
    const TestCase problem = make_test_case(spec, 4, 20, random(), {.reset = true, .length = true});
    expect_bits_of_barrier(problem, {.precision = trial % 2 == 0 ? Precision::f32 : Precision::bf16});
  }
}

TEST_F(CudaArrival, IsChosenByTheEnvironment) {
  const Spec spec{.neurons = 200};
  const EnvironmentVariable chosen(variable, "counted");
  EXPECT_EQ(first_shape({.neurons = 64}, GroupKind::cta).arrival, Arrival::barrier);
  for (const GroupKind kind : {GroupKind::cluster, GroupKind::grid}) {
    EXPECT_EQ(first_shape(spec, kind).arrival, Arrival::counted);
    // No block would wait for one without columns, or without rows.
    EXPECT_EQ(first_shape({.neurons = 3}, kind).arrival, Arrival::barrier);
    EXPECT_EQ(first_shape({.cell = Cell::feedforward, .inputs = 1, .neurons = 200}, kind).arrival,
              Arrival::barrier);
    const EnvironmentVariable ordinary(variable, "barrier");
    EXPECT_EQ(first_shape(spec, kind).arrival, Arrival::barrier);
  }
}

TEST(CudaArrivalChoice, RefusesAnotherValue) {
  const auto message = [](const char* value) {
    const EnvironmentVariable chosen(variable, value);
    return message_of([] { first_shape({.neurons = 200}, GroupKind::cluster); });
  };
  EXPECT_EQ(message(""), "no error");
  EXPECT_EQ(message("barrier"), "no error");
  EXPECT_EQ(message("sometimes"), "PLASTICITY_ARRIVAL: expected barrier or counted, got sometimes");
  EXPECT_EQ(message("counted"),
            cuda::build_has_alternatives()
                ? "no error"
                : "PLASTICITY_ARRIVAL: expected a build with -DPLASTICITY_TUNING=ON, got counted");
}

}  // namespace
}  // namespace plasticity::testing
