// The CPU backend against the reference, on sizes that are no multiple of a vector or block. Outputs start as
// NaN and lie between guard bytes.
#include <gtest/gtest.h>

#if __has_include(<sys/mman.h>)
#include <sys/mman.h>
#include <unistd.h>
#endif

#include "plasticity/plasticity.hpp"
#include "problems/answers.hpp"
#include "problems/plan_runner.hpp"
#include "rules/factors.hpp"

namespace plasticity::testing {
namespace {

template <class Real>
void expect_near(const TestCase& problem, const Answers<double>& want, double tolerance,
                 const RunOptions& options = {}) {
  Buffers<Real> buffers(problem);
  EXPECT_TRUE(run_plan(problem, buffers, options)) << "canary of " << problem.name();
  expect_close(problem, answers_in(buffers), want, tolerance);
}

TEST(CpuPlan, AgreesOnOddSizes) {
  std::mt19937_64 random(30);
  for (const std::int64_t neurons : {1, 2, 31, 33, 130}) {
    for (const std::int64_t batch : {1, 3, 17}) {
      for (const std::int64_t steps : {1, 2, 19}) {
        // The reference is slow, so large problems use fewer specs.
        const int specs = neurons * batch * steps > 3000 ? 2 : 8;
        for (int trial = 0; trial < specs; ++trial) {
          const Spec spec = random_spec(random, neurons, trial % 2 == 0 ? 7 : 34);
          const TestCase problem = make_test_case(spec, steps, batch, random(), random_masks(random));
          const Answers<double> want = reference_answers<double>(problem);
          expect_near<double>(problem, want, 1e-11);
          expect_near<float>(problem, want, 2e-5 + 4 * inherent_error(problem, want));
        }
      }
    }
  }
}

// Rows long enough for several shares of columns, with and without a partial last block.
TEST(CpuPlan, AgreesWhereColumnsAreShared) {
  std::mt19937_64 random(31);
  for (const std::int64_t neurons : {256, 263, 515}) {
    for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
      Spec spec = random_spec(random, neurons, 9);
      while (spec.cell != cell) spec = random_spec(random, neurons, 9);
      const TestCase problem = make_test_case(spec, 3, 2, random(), random_masks(random));
      expect_near<double>(problem, reference_answers<double>(problem), 1e-11, {.device = Device::cpu(3)});
    }
  }
}

// Every form and eligibility trace. One pass adds the gradient of alpha of steps 0 to 3, another that of
// step 4. In so many entries a few are on other sides of their clips in float.
TEST(CpuPlan, AgreesIfAlphaIsAddedLast) {
  std::mt19937_64 random(33);
  for (const Form form : {Form::linear, Form::read_clipped, Form::clipped, Form::soft}) {
    for (const Eligibility kind : {Eligibility::none, Eligibility::before, Eligibility::after}) {
      Spec spec;
      do {
        spec = large_spec(random, Cell::feedforward);
      } while (form_of(spec.rule) != form || spec.eligibility != kind);
      const TestCase problem = make_test_case(spec, 5, 1, random(), random_masks(random));
      const Answers<double> want = reference_answers<double>(problem);
      const RunOptions options{.device = Device::cpu(2), .checkpoint_interval = 2};
      expect_near<double>(problem, want, 1e-11, options);
      expect_near<float>(problem, want, 3e-3, options);
    }
  }
  for (const Cell cell : {Cell::rnn, Cell::lstm}) {
    const TestCase problem = make_test_case(large_spec(random, cell), 4, 1, random(), random_masks(random));
    expect_near<double>(problem, reference_answers<double>(problem), 1e-11, {.device = Device::cpu(3)});
  }
}

TEST(CpuPlan, AgreesOverTheWholeMatrix) {
  std::mt19937_64 random(31);
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (const Spec& spec : every_mix(random, 13, 6)) {
      const TestCase problem = make_test_case(spec, 7, 3, random(), random_masks(random));
      expect_near<double>(problem, reference_answers<double>(problem), 1e-12);
    }
  }
}

// Only checkpoints are rounded to bfloat16, so outputs equal those of float and gradients differ slightly.
// Rules with a clip are excluded: if rounding moves an entry across its clip, its gradient jumps by an
// unbounded amount.
TEST(CpuPlan, BfloatCheckpointsStayClose) {
  std::mt19937_64 random(32);
  for (int trial = 0; trial < 60; ++trial) {
    Spec spec = random_spec(random, 19, 6);
    if (spec.rule != Rule::decay && spec.rule != Rule::oja) spec.rule = Rule::additive;
    const TestCase problem = make_test_case(spec, 9, 3, random(), random_masks(random));
    expect_near<float>(problem, reference_answers<double>(problem), 3e-2, {.precision = Precision::bf16});
  }
  Spec spec = large_spec(random, Cell::feedforward);
  spec.rule = Rule::decay;
  const TestCase problem = make_test_case(spec, 9, 2, random(), {.reset = true});
  expect_near<float>(problem, reference_answers<double>(problem), 3e-2, {.precision = Precision::bf16});
}

TEST(CpuPlan, EmptySizesDoNotChangeTheState) {
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec{.cell = cell, .rule = Rule::oja, .inputs = 3, .neurons = 5};
    const TestCase still = make_test_case(spec, 0, 2, 33);
    Buffers<double> buffers(still);
    EXPECT_TRUE(run_plan(still, buffers, {}));
    EXPECT_EQ(buffers.outputs.at("state.hebb"), still.inputs.at("state.hebb"));
    EXPECT_EQ(buffers.gradients.at("state.hebb"), still.upstream.at("state.hebb"));
    const TestCase empty_batch = make_test_case(spec, 3, 0, 34);
    Buffers<double> none(empty_batch);
    EXPECT_TRUE(run_plan(empty_batch, none, {}));
    for (const double value : none.gradients.at("param.w")) EXPECT_EQ(value, 0);
  }
}

#if __has_include(<sys/mman.h>)

/// A copy of `values` that is followed by a page without access: a read beyond it is a fault.
template <class Real>
class AtTheEnd {
 public:
  explicit AtTheEnd(const std::vector<Real>& values) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t size = values.size() * sizeof(Real), used = (size + page - 1) / page * page;
    bytes_ = used + page;
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (memory_ == MAP_FAILED || mprotect(memory_ + used, page, PROT_NONE) != 0) throw std::bad_alloc();
    data_ = reinterpret_cast<Real*>(memory_ + used - size);
    std::copy(values.begin(), values.end(), data_);
  }
  ~AtTheEnd() { munmap(memory_, bytes_); }
  AtTheEnd(const AtTheEnd&) = delete;
  AtTheEnd& operator=(const AtTheEnd&) = delete;
  const Real* data() const { return data_; }

 private:
  std::byte* memory_;
  std::size_t bytes_;
  Real* data_;
};

template <class Real>
void expect_steps_read_no_further(const Spec& spec) {
  constexpr std::int64_t T = 3;
  const TestCase problem = make_test_case(spec, T, 1, 7);
  Buffers<Real> buffers(problem);
  const PlanOptions options{.steps = T,
                            .device = Device::cpu(1),
                            .precision = std::is_same_v<Real, double> ? Precision::f64 : Precision::f32};
  const Plan plan(spec, options);
  const DeviceMemory scratch(options.device, plan.scratch_bytes()),
      step_state(options.device, plan.step_state_bytes());
  plan.forward({}, buffers.forward, {}, scratch.as<Scratch>());
  const AtTheEnd<Real> w(buffers.inputs.at("param.w")), alpha(buffers.inputs.at("param.alpha"));
  plan.load({}, buffers.forward.initial_state, step_state.as<StepState>());
  std::vector<Real> y;
  for (std::int64_t t = 0; t < T; ++t) {
    std::vector<Real> now(static_cast<std::size_t>(spec.neurons));
    StepArgs<Real> args;
    args.parameters = buffers.forward.parameters;
    args.parameters.w = w.data();
    args.parameters.alpha = alpha.data();
    for (const auto& member : Inputs<const Real>::members()) {
      if (const Real* all = buffers.forward.inputs.*member.pointer)
        args.inputs.*member.pointer = all + t * input_shape(spec, 1, 1, member.name)->elements();
    }
    args.y = now.data();
    plan.step({}, args, step_state.as<StepState>(), scratch.as<Scratch>());
    y.insert(y.end(), now.begin(), now.end());
  }
  EXPECT_EQ(y, buffers.outputs.at("y")) << problem.name();
}

// A step reads w and alpha in place, whole vectors at a time.
TEST(CpuPlan, AStepReadsNothingBeyondItsMatrices) {
  for (const Granularity alpha : {Granularity::connection, Granularity::post}) {
    for (const std::int64_t neurons : {1, 3, 8, 15, 16, 17, 31, 33, 100, 500}) {
      Spec spec{.alpha = alpha, .neurons = neurons};
      expect_steps_read_no_further<float>(spec);
      expect_steps_read_no_further<double>(spec);
      spec.cell = Cell::feedforward;
      for (const std::int64_t inputs : {1, 2, 7}) {
        spec.inputs = inputs;
        expect_steps_read_no_further<float>(spec);
        expect_steps_read_no_further<double>(spec);
      }
    }
  }
}

#endif

}  // namespace
}  // namespace plasticity::testing
