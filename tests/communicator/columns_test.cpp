// ColumnPlan on ranks that are threads, against the reference and against Plan.
#include "communicator/column_cases.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "communicator/on_ranks.hpp"
#include "plasticity/error.hpp"

namespace plasticity::testing {
namespace {

/// Returns the results of a test case with its columns on `ranks` ranks.
template <class Real>
Answers<Real> column_answers(const TestCase& problem, int ranks, const RunOptions& options = {}) {
  std::vector<Answers<Real>> parts(static_cast<std::size_t>(ranks));
  std::vector<ColumnSlice> columns(parts.size());
  std::vector<char> intact(parts.size());
  const std::vector<std::string> errors = on_ranks(ranks, [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    columns[rank] = columns_of(communicator, problem.spec.neurons);
    const TestCase part = rank_case(problem, columns[rank]);
    Buffers<Real> buffers(part);
    intact[rank] = run_rank(problem, communicator, buffers, options);
    parts[rank] = answers_in(buffers);
  });
  Answers<Real> whole;
  for (std::size_t rank = 0; rank < parts.size(); ++rank) {
    EXPECT_EQ(errors[rank], "") << "rank " << rank << " of " << ranks << ", " << problem.name();
    EXPECT_TRUE(intact[rank]) << "canary of " << problem.name();
    EXPECT_TRUE(add_rank(problem, columns[rank], parts[rank], whole)) << problem.name();
  }
  return whole;
}

/// Returns the results of Plan.
template <class Real>
Answers<Real> plan_answers(const TestCase& problem, const RunOptions& options = {}) {
  Buffers<Real> buffers(problem);
  EXPECT_TRUE(run_plan(problem, buffers, options));
  return answers_in(buffers);
}

TEST(ColumnPlan, AgreesOverTheWholeMatrix) {
  std::mt19937_64 random(61);
  int index = 0;
  for (const Spec& spec : every_mix(random, 13, 6)) {
    TestCase problem = make_test_case(spec, 7, 3, random(), random_masks(random));
    if (index % 3 == 0) problem = with_preactivation(problem);
    const Answers<double> want = reference_answers<double>(problem);
    for (const int ranks : {1 + index % 4, 1 + (index + 1) % 4})
      expect_close(problem, column_answers<double>(problem, ranks), want, 1e-12);
    ++index;
  }
  EXPECT_GT(index, 150);
}

TEST(ColumnPlan, AgreesOnOddSizes) {
  std::mt19937_64 random(62);
  for (const std::int64_t neurons : {1, 2, 3, 31, 130}) {
    for (const std::int64_t batch : {1, 2, 5}) {
      for (const std::int64_t steps : {1, 2, 11}) {
        for (const int ranks : {1, 2, 3, 4}) {  // more ranks than neurons too
          const Spec spec = random_spec(random, neurons, 7);
          const TestCase problem = make_test_case(spec, steps, batch, random(), random_masks(random));
          const Answers<double> want = reference_answers<double>(problem);
          expect_close(problem, column_answers<double>(problem, ranks), want, 1e-11);
          expect_close(problem, column_answers<float>(problem, ranks), want,
                       2e-5 + 4 * inherent_error(problem, want));
        }
      }
    }
  }
}

TEST(ColumnPlan, EmptySizesAgreeWithPlan) {
  std::mt19937_64 random(63);
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    for (const auto& [steps, batch] : {std::pair(0, 2), std::pair(3, 0)}) {
      const Spec spec{.cell = cell, .rate = Rate::fan_out, .inputs = 3, .neurons = 5};
      const TestCase problem = make_test_case(spec, steps, batch, random());
      EXPECT_EQ(column_answers<double>(problem, 3).outputs, plan_answers<double>(problem).outputs);
      EXPECT_EQ(column_answers<double>(problem, 3).gradients, plan_answers<double>(problem).gradients);
    }
  }
}

TEST(ColumnPlan, OneRankHasTheBitsOfPlan) {
  std::mt19937_64 random(64);
  for (int trial = 0; trial < 60; ++trial) {
    const Spec spec = random_spec(random, 1 + trial * 5, 9);
    const TestCase problem = make_test_case(spec, 8, 1 + trial % 5, random(), random_masks(random));
    const RunOptions options{.precision = trial % 4 == 0 ? Precision::bf16 : Precision::f32};
    EXPECT_EQ(column_answers<float>(problem, 1, options), plan_answers<float>(problem, options))
        << problem.name();
  }
}

TEST(ColumnPlan, ForwardHasTheBitsOfPlan) {
  std::mt19937_64 random(65);
  for (int trial = 0; trial < 40; ++trial) {
    Spec spec = random_spec(random, 40 + trial * 7, 9);
    if (spec.activation == Activation::softmax) spec.activation = Activation::sigmoid;
    const TestCase problem = make_test_case(spec, 6, 3, random(), random_masks(random));
    const Answers<float> want = plan_answers<float>(problem);
    for (const int ranks : {2, 3, 4})
      EXPECT_EQ(column_answers<float>(problem, ranks).outputs, want.outputs) << problem.name();
  }
}

TEST(ColumnPlan, ThreadsDoNotChangeBits) {
  std::mt19937_64 random(66);
  for (int trial = 0; trial < 5; ++trial) {
    Spec spec = random_spec(random, 1030, 9);  // several shares of columns per rank
    if (trial < 2) spec = {.cell = Cell::lstm, .rate = Rate::fan_out, .inputs = 9, .neurons = 1030};
    if (trial == 0) spec.modulator_source = ModulatorSource::cell;
    if (trial == 2) spec = {.rate = Rate::modulated, .activation = Activation::softmax, .neurons = 1030};
    const TestCase problem = make_test_case(spec, 4, 3, random(), random_masks(random));
    EXPECT_EQ(column_answers<float>(problem, 2, {.device = Device::cpu(3)}),
              column_answers<float>(problem, 2, {.device = Device::cpu(1)}))
        << problem.name();
  }
}

TEST(ColumnPlan, CheckpointsDoNotChangeBits) {
  std::mt19937_64 random(67);
  for (int trial = 0; trial < 12; ++trial) {
    const TestCase problem = make_test_case(random_spec(random, 17, 5), 9, 2, random(), random_masks(random));
    const Answers<float> want = column_answers<float>(problem, 3, {.checkpoint_interval = 1});
    for (const std::int64_t interval : {2, 4, 9})
      EXPECT_EQ(column_answers<float>(problem, 3, {.checkpoint_interval = interval}), want) << problem.name();
  }
}

TEST(ColumnPlan, BfloatTracesStayClose) {
  std::mt19937_64 random(68);
  for (int trial = 0; trial < 12; ++trial) {
    Spec spec = random_spec(random, 19, 6);
    if (spec.rule != Rule::decay && spec.rule != Rule::oja) spec.rule = Rule::additive;
    const TestCase problem = make_test_case(spec, 9, 3, random(), random_masks(random));
    const Answers<float> got = column_answers<float>(problem, 2, {.precision = Precision::bf16});
    expect_close(problem, got, reference_answers<double>(problem), 3e-2);
  }
}

// Softmax adds over the columns of a rank, then over the ranks. Large currents do not overflow, and a rank
// without a finite current has zeros.
TEST(ColumnPlan, SoftmaxIsStableOverRanks) {
  const Spec spec{.cell = Cell::feedforward, .activation = Activation::softmax, .inputs = 3, .neurons = 8};
  TestCase problem = make_test_case(spec, 2, 3, 73);
  std::vector<double>& u = problem.inputs.at("input.u");
  for (std::size_t k = 0; k < u.size(); ++k)
    u[k] = k % 8 < 4 ? 1e6 + static_cast<double>(k % 3) : -std::numeric_limits<double>::infinity();
  const Answers<double> want = plan_answers<double>(problem), got = column_answers<double>(problem, 2);
  EXPECT_LT(worst(got.outputs, want.outputs).first, 1e-14);
  EXPECT_EQ(column_answers<double>(problem, 2), got);
  for (std::size_t k = 0; k < u.size(); ++k) EXPECT_EQ(got.outputs.at("y")[k] == 0, k % 8 >= 4);
}

class ColumnState : public ::testing::TestWithParam<Cell> {};

// A pass without a tape, whose final state overwrites its initial state.
TEST_P(ColumnState, MayBeUpdatedInPlace) {
  std::mt19937_64 random(69);
  const Spec spec{.cell = GetParam(),
                  .rate = Rate::modulated,
                  .eligibility = Eligibility::after,
                  .inputs = 3,
                  .neurons = 11};
  const TestCase problem = make_test_case(spec, 5, 2, random(), {.length = true});
  const Answers<float> want = plan_answers<float>(problem);
  const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
    const ColumnSlice columns = columns_of(communicator, spec.neurons);
    const TestCase part = rank_case(problem, columns);
    Buffers<float> buffers(part);
    ColumnPlan plan(spec, {.steps = 5, .batch = 2, .device = Device::cpu(1)}, communicator);
    for (const auto& member : State<float>::members()) {
      const auto name = "state." + std::string(member.name);
      if (buffers.inputs.contains(name))
        buffers.forward.final_state.*member.pointer = buffers.inputs[name].data();
    }
    const GuardedMemory scratch(plan.scratch_bytes());
    plan.forward(buffers.forward, {}, scratch.as<Scratch>());
    for (const auto& [name, values] : want.outputs) {
      if (!name.starts_with("state.")) continue;
      EXPECT_LT(difference(buffers.inputs[name], columns_in(values, spec.neurons, columns)), 1e-6) << name;
    }
  });
  EXPECT_EQ(errors, std::vector<std::string>(3));
}

INSTANTIATE_TEST_SUITE_P(, ColumnState, ::testing::Values(Cell::rnn, Cell::lstm),
                         [](const auto& parameter) { return std::string(to_string(parameter.param)); });

TEST(ColumnPlan, ShapesAreThoseOfTheRank) {
  const std::vector<std::string> errors = on_ranks(3, [](Communicator& communicator) {
    const ColumnPlan plan({.rate = Rate::fan_out, .alpha = Granularity::scalar, .inputs = 4, .neurons = 8},
                          {.steps = 5, .batch = 2, .device = Device::cpu(1)}, communicator);
    const std::int64_t n = communicator.rank() == 2 ? 2 : 3;
    EXPECT_EQ(plan.columns().count, n);
    EXPECT_EQ(plan.columns().first, communicator.rank() * 3);
    EXPECT_EQ(plan.parameter_shape("w"), (Shape{{8, n}, 2}));
    EXPECT_EQ(plan.parameter_shape("w_in"), (Shape{{4, n}, 2}));
    EXPECT_EQ(plan.parameter_shape("alpha"), (Shape{{1}, 1}));
    EXPECT_EQ(plan.parameter_shape("modulator.weight"), (Shape{{n}, 1}));
    EXPECT_EQ(plan.input_shape("x"), (Shape{{5, 2, 4}, 3}));
    EXPECT_EQ(plan.state_shape("y"), (Shape{{2, n}, 2}));
    EXPECT_EQ(plan.state_shape("hebb"), (Shape{{2, 8, n}, 3}));
    EXPECT_EQ(plan.state_shape("c"), std::nullopt);
    EXPECT_EQ(plan.parameter_shape("nothing"), std::nullopt);
    const ColumnPlan lstm({.cell = Cell::lstm, .inputs = 4, .neurons = 8},
                          {.steps = 5, .batch = 2, .device = Device::cpu(1)}, communicator);
    EXPECT_EQ(lstm.parameter_shape("w_in"), (Shape{{4, 4 * n}, 2}));
    EXPECT_EQ(lstm.parameter_shape("w_gates"), (Shape{{8, 3 * n}, 2}));
    EXPECT_EQ(lstm.input_shape("u"), (Shape{{5, 2, 4 * n}, 3}));
    EXPECT_EQ(lstm.state_shape("c"), (Shape{{2, n}, 2}));
  });
  EXPECT_EQ(errors, std::vector<std::string>(3));
}

TEST(ColumnPlan, TakesAndGathersColumns) {
  for (const std::int64_t N : {0, 2, 7}) {
    const std::vector<std::string> errors = on_ranks(4, [&](Communicator& communicator) {
      std::vector<double> whole(static_cast<std::size_t>(3 * N)), back(whole.size());
      for (std::size_t k = 0; k < whole.size(); ++k) whole[k] = static_cast<double>(k);
      std::vector<double> slice(static_cast<std::size_t>(3 * columns_of(communicator, N).count));
      take_columns(communicator, 3, N, whole.data(), slice.data());
      EXPECT_EQ(slice, columns_in(whole, N, columns_of(communicator, N)));
      gather_columns(communicator, 3, N, slice.data(), back.data());
      EXPECT_EQ(back, whole);
    });
    EXPECT_EQ(errors, std::vector<std::string>(4));
  }
}

/// Returns the message of the error of work(communicator) on one rank, or "".
std::string error_of(const std::function<void(Communicator&)>& work) { return on_ranks(1, work)[0]; }

std::string plan_error(const Spec& spec, const PlanOptions& options = {.device = Device::cpu(1)}) {
  return error_of([&](Communicator& communicator) { const ColumnPlan plan(spec, options, communicator); });
}

TEST(ColumnPlan, RefusesUnsupportedSpecsAndOptions) {
  EXPECT_EQ(plan_error({.alpha = Granularity::none, .neurons = 3}),
            "spec.alpha: expected a cell with a plastic part, because columns are distributed, got none");
  EXPECT_EQ(plan_error({.neurons = 3}, {.device = Device::cpu(1), .execution = Execution::grid}),
            "options.execution: expected automatic, because columns are distributed, got grid");
  if (Device::best().kind() != DeviceKind::cpu) {
    EXPECT_EQ(plan_error({.neurons = 3}, {}).substr(0, 30), "options.device: expected a CPU");
  }
  EXPECT_EQ(plan_error({.neurons = 3}, {.batch = -1, .device = Device::cpu(1)}),
            "batch: expected at least 0, got -1");
  EXPECT_EQ(plan_error({.neurons = 3}, {.device = Device::cpu(1), .checkpoint_interval = -1}),
            "options.checkpoint_interval: expected at least 0, got -1");
  EXPECT_EQ(plan_error({.rule = Rule::hard_clip, .neurons = 3, .clip = 1e-40},
                       {.device = Device::cpu(1), .precision = Precision::bf16})
                .substr(0, 19),
            "spec.clip: expected");
  EXPECT_NE(plan_error({.neurons = 0}), "");
  EXPECT_NE(plan_error({.neurons = -5}), "");
}

TEST(ColumnPlan, RefusesPlansThatDiffer) {
  const std::vector<std::string> errors = on_ranks(3, [](Communicator& communicator) {
    const ColumnPlan plan({.neurons = 5}, {.steps = 3 + communicator.rank() / 2, .device = Device::cpu(1)},
                          communicator);
  });
  const std::string message =
      "rank 2: expected a plan with the spec, steps, batch and precision of rank 0, got another plan";
  EXPECT_EQ(errors, std::vector<std::string>(3, message));
}

TEST(ColumnPlan, RefusesWrongArguments) {
  const Spec spec{.rate = Rate::modulated, .neurons = 6};
  const TestCase problem = make_test_case(spec, 2, 1, 70);
  using Change = std::function<void(Buffers<float>&, Tape&, Scratch&)>;
  const auto message = [&](const Change& change) {
    return error_of([&](Communicator& communicator) {
      ColumnPlan plan(spec, {.steps = 2, .device = Device::cpu(1)}, communicator);
      Buffers<float> buffers(problem);
      const GuardedMemory tape_memory(plan.tape_bytes()), scratch_memory(plan.scratch_bytes());
      Tape tape = tape_memory.as<Tape>();
      Scratch scratch = scratch_memory.as<Scratch>();
      change(buffers, tape, scratch);
      plan.forward(buffers.forward, tape, scratch);
      plan.backward(buffers.backward, tape, scratch);
    });
  };
  EXPECT_EQ(message([](auto&, auto&, auto&) {}), "");
  EXPECT_EQ(message([](auto& b, auto&, auto&) { b.forward.parameters.w = nullptr; }),
            "parameters.w: expected a tensor of shape [6,6], got null");
  EXPECT_EQ(message([](auto& b, auto&, auto&) { b.forward.final_state.y = b.forward.y; }),
            "final_state.y: overlaps y");
  EXPECT_EQ(message([](auto& b, auto&, auto&) { b.backward.dinitial_state.y = b.backward.dinputs.u; }),
            "dinitial_state.y: overlaps dinputs.u");
  EXPECT_EQ(message([](auto&, auto&, Scratch& scratch) { scratch.bytes = 64; }).substr(0, 32),
            "scratch.bytes: expected at least");
  EXPECT_NE(message([](auto&, Tape& tape, auto&) { tape = {}; }).find("tape.data: expected"),
            std::string::npos);
  EXPECT_EQ(error_of([&](Communicator& communicator) {
              ColumnPlan plan(spec, {.steps = 2, .device = Device::cpu(1)}, communicator);
              plan.forward(ForwardArgs<double>{}, {}, {});
            }),
            "args: expected float tensors in a plan of precision f32, got double tensors");
  EXPECT_EQ(error_of([](Communicator& communicator) { columns_of(communicator, -1); }),
            "neurons: expected at least 0, got -1");
  EXPECT_EQ(error_of([](Communicator& communicator) {
              gather_columns(communicator, -1, 2, static_cast<const float*>(nullptr), nullptr);
            }),
            "rows: expected at least 0, got -1");
  std::vector<float> whole(6), slice(6);
  EXPECT_EQ(error_of([&](Communicator& communicator) {
              take_columns(communicator, std::int64_t{1} << 47, 6, whole.data(), slice.data());
            }),
            "rows: expected at most 46912496118442 of 6 neurons, got 140737488355328");
  EXPECT_EQ(error_of([&](Communicator& communicator) {
              take_columns(communicator, 1, 6, static_cast<const float*>(nullptr), slice.data());
            }),
            "whole: expected 6 elements, got null");
}

TEST(ColumnPlan, RefusesTensorsThatDifferBetweenRanks) {
  const Spec spec{.alpha = Granularity::scalar, .inputs = 2, .neurons = 6};
  const TestCase problem = make_test_case(spec, 2, 2, 72, {.reset = true, .length = true});
  using Change = std::function<void(Buffers<float>&, TestCase&)>;
  const auto expect = [&](const std::string& name, const Change& before_forward,
                          const Change& before_backward) {
    const std::vector<std::string> errors = on_ranks(3, [&](Communicator& communicator) {
      TestCase part = rank_case(problem, columns_of(communicator, spec.neurons));
      part.length = {2, 2};
      Buffers<float> buffers(part);
      ColumnPlan plan(spec, {.steps = 2, .batch = 2, .device = Device::cpu(1)}, communicator);
      const GuardedMemory tape(plan.tape_bytes()), scratch(plan.scratch_bytes());
      const bool differs = communicator.rank() == 1;
      if (differs) before_forward(buffers, part);
      plan.forward(buffers.forward, tape.as<Tape>(), scratch.as<Scratch>());
      if (differs) before_backward(buffers, part);
      plan.backward(buffers.backward, tape.as<Tape>(), scratch.as<Scratch>());
    });
    for (const std::string& error : errors)
      EXPECT_EQ(error, name.empty() ? "" : name + " of rank 1: expected that of rank 0, got another");
  };
  const Change nothing = [](Buffers<float>&, TestCase&) {};
  expect("", nothing, nothing);
  expect(
      "inputs.x", [](auto& b, auto&) { b.inputs.at("input.x")[3] += 1; }, nothing);
  expect(
      "parameters.eta", [](auto& b, auto&) { b.inputs.at("param.eta")[0] += 1; }, nothing);
  expect(
      "parameters.alpha", [](auto& b, auto&) { b.inputs.at("param.alpha")[0] += 1; }, nothing);
  expect(
      "masks.reset", [](auto&, TestCase& part) { part.reset[1] ^= 1; }, nothing);
  expect(
      "masks.length", [](auto&, TestCase& part) { part.length[1] = 1; }, nothing);
  expect("masks.length", nothing, [](auto&, TestCase& part) { part.length[1] = 1; });
  expect("dinputs.x", nothing, [](auto& b, auto&) { b.backward.dinputs.x = nullptr; });
}

// The error of a rank that ends is that of the communicator.
TEST(ColumnPlan, ReportsARankThatEnds) {
  const Spec spec{.neurons = 6};
  const TestCase problem = make_test_case(spec, 3, 1, 71);
  const std::vector<std::string> errors =
      on_ranks(2,
               [&](Communicator& communicator) {
                 const TestCase part = rank_case(problem, columns_of(communicator, spec.neurons));
                 Buffers<float> buffers(part);
                 ColumnPlan plan(spec, {.steps = 3, .device = Device::cpu(1)}, communicator);
                 const GuardedMemory scratch(plan.scratch_bytes());
                 if (communicator.rank() == 0) plan.forward(buffers.forward, {}, scratch.as<Scratch>());
               },
               {.time_limit = std::chrono::milliseconds(5000)});
  EXPECT_NE(errors[0].find("rank 1"), std::string::npos) << errors[0];
  EXPECT_EQ(errors[1], "");
}

}  // namespace
}  // namespace plasticity::testing
