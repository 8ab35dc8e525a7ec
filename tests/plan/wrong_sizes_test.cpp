// Sizes that overflow, memory that is too small or misaligned, lengths out of range and arguments of the
// wrong type: each throws before any work.
#include <gtest/gtest.h>

#include <functional>

#include "plasticity/error.hpp"
#include "plasticity/reference.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

template <class Call>
void expect_error(const std::string& message, Call&& call, ErrorCode code = ErrorCode::invalid_argument) {
  try {
    call();
    ADD_FAILURE() << "no error; expected " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(message)) << error.what() << "\nexpected " << message;
  }
}

constexpr std::int64_t max_int = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t power(int exponent) { return std::int64_t{1} << exponent; }

struct Sizes {
  Spec spec;
  std::int64_t steps, batch, interval;
  const char* message;
};

// Sizes that overflow are rejected, even with T = 0 or B = 0, when no tensor has elements.
TEST(WrongSizes, RejectsSizesThatOverflow) {
  const Cell layer = Cell::feedforward, lstm = Cell::lstm;
  const Sizes list[] = {
      {{.neurons = power(25)}, 1, 1, 0, "size of a trace"},
      {{.neurons = power(40)}, 1, 0, 0, "size of a trace"},
      {{.neurons = max_int}, 0, 0, 0, "size of a trace"},
      {{.neurons = power(20)}, 1, power(9), 0, "size of a trace"},
      {{.neurons = 1}, 0, max_int, 0, "size of a trace"},
      {{.neurons = 1}, 1, power(55), 0, "size of a trace"},
      {{.cell = layer, .inputs = max_int, .neurons = 1}, 0, 0, 0, "size of a trace"},
      {{.cell = layer, .inputs = power(32), .neurons = power(32)}, 1, 0, 0, "size of a trace"},
      {{.neurons = 1}, max_int, 1, 0, "size of the traces of all steps"},
      {{.neurons = 1}, max_int, 0, 0, "size of the traces of all steps"},
      {{.neurons = power(20)}, power(40), 0, power(40), "size of the traces of all steps"},
      {{.neurons = 3}, power(32), power(32), 0, "size of the traces of all steps"},
      {{.cell = lstm, .inputs = 1, .neurons = power(3)},
       power(21),
       power(22),
       0,
       "size of the traces of all steps"},
      {{.cell = lstm, .inputs = 1, .neurons = 1}, power(24), power(24), 0, "size of a sequence"},
      {{.inputs = max_int, .neurons = 1}, 0, 0, 0, "size of the input"},
      {{.inputs = power(30), .neurons = 1}, power(10), power(10), 0, "size of the input"},
      {{.inputs = power(40), .neurons = power(10)}, 1, 1, 0, "size of w_in"},
      {{.cell = lstm, .inputs = power(38), .neurons = power(9)}, 1, 1, 0, "size of w_in"},
  };
  for (const Sizes& sizes : list) {
    for (const Precision precision : {Precision::f64, Precision::f32, Precision::bf16}) {
      const PlanOptions options{.steps = sizes.steps,
                                .batch = sizes.batch,
                                .device = Device::cpu(2),
                                .precision = precision,
                                .checkpoint_interval = sizes.interval};
      expect_error(sizes.message, [&] { Plan(sizes.spec, options); });
    }
    expect_error(sizes.message,
                 [&] { reference::forward<double>(sizes.spec, sizes.steps, sizes.batch, {}); });
    expect_error(sizes.message,
                 [&] { reference::backward<double>(sizes.spec, sizes.steps, sizes.batch, {}); });
  }
}

// Up to the largest accepted sizes the byte counts grow with the sizes, so they do not wrap around.
TEST(WrongSizes, ByteCountsGrowUpToTheLargestSizes) {
  for (const Cell cell : {Cell::feedforward, Cell::rnn, Cell::lstm}) {
    const Spec spec{
        .cell = cell, .rate = Rate::fan_out, .eligibility = Eligibility::before, .inputs = 1, .neurons = 1};
    const auto plan = [&](std::int64_t steps, std::int64_t batch, std::int64_t interval) {
      return Plan(spec, {.steps = steps,
                         .batch = batch,
                         .device = Device::cpu(1024),
                         .precision = Precision::f64,
                         .checkpoint_interval = interval});
    };
    std::size_t tape = 0, scratch = 0, step_state = 0;
    for (int exponent = 10; exponent <= 45; exponent += 5) {
      const Plan wide = plan(1, power(exponent), 1);
      EXPECT_GT(wide.tape_bytes(), tape) << exponent;
      EXPECT_GT(wide.step_state_bytes(), step_state) << exponent;
      EXPECT_GT(wide.scratch_bytes(), scratch) << exponent;
      tape = wide.tape_bytes();
      step_state = wide.step_state_bytes();
      scratch = wide.scratch_bytes();
    }
    tape = scratch = 0;
    for (int exponent = 10; exponent <= 45; exponent += 5) {
      const Plan stored = plan(power(exponent), 1, 1), replayed = plan(power(exponent), 1, power(exponent));
      EXPECT_GT(stored.tape_bytes(), tape) << exponent;
      EXPECT_GT(replayed.scratch_bytes(), scratch) << exponent;
      tape = stored.tape_bytes();
      scratch = replayed.scratch_bytes();
    }
  }
}

struct Calls {
  TestCase problem = make_test_case({.inputs = 3, .neurons = 5}, 4, 2, 1);
  Buffers<float> buffers{problem};
  Buffers<double> doubles{problem};
  Plan plan{problem.spec, {.steps = 4, .batch = 2, .device = Device::cpu(1)}};
  DeviceMemory tape_memory{Device::cpu(1), plan.tape_bytes() + 64},
      scratch_memory{Device::cpu(1), plan.scratch_bytes() + 64},
      step_state_memory{Device::cpu(1), plan.step_state_bytes() + 64};
  Tape tape = tape_memory.as<Tape>();
  Scratch scratch = scratch_memory.as<Scratch>();
  StepState step_state = step_state_memory.as<StepState>();
  StepArgs<float> step;

  Calls() {
    tape.bytes = plan.tape_bytes();
    scratch.bytes = plan.scratch_bytes();
    step_state.bytes = plan.step_state_bytes();
    step.parameters = buffers.forward.parameters;
    step.inputs = buffers.forward.inputs;
    step.y = buffers.forward.y;
    all();
  }
  void forward() { plan.forward({}, buffers.forward, tape, scratch); }
  void backward() { plan.backward({}, buffers.backward, tape, scratch); }
  void load() { plan.load({}, buffers.forward.initial_state, step_state); }
  void take_step() { plan.step({}, step, step_state, scratch); }
  void store() { plan.store({}, buffers.forward.final_state, step_state); }
  void all() {
    forward();
    backward();
    load();
    take_step();
    store();
  }
};

TEST(WrongSizes, RejectsNullShortAndMisalignedMemory) {
  Calls calls;
  const auto expect_memory = [](Memory& memory, const std::string& name, bool may_be_null,
                                const std::function<void()>& call) {
    const Memory right = memory;
    if (!may_be_null) {
      memory.data = nullptr;
      expect_error(name + ".data: expected " + std::to_string(right.bytes) + " bytes of memory, got null",
                   call);
      memory = right;
    }
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, right.bytes - 1}) {
      memory.bytes = bytes;
      expect_error(name + ".bytes: expected at least " + std::to_string(right.bytes) + ", got " +
                       std::to_string(bytes),
                   call);
    }
    memory = right;
    for (std::ptrdiff_t offset = 1; offset < 64; ++offset) {
      memory.data = static_cast<std::byte*>(right.data) + offset;
      expect_error(name + ".data: expected memory aligned to 64 bytes, got 0x", call);
    }
    memory = right;
  };
  expect_memory(calls.tape, "tape", true, [&] { calls.forward(); });  // null means that nothing is recorded
  expect_memory(calls.scratch, "scratch", false, [&] { calls.forward(); });
  expect_memory(calls.tape, "tape", false, [&] { calls.backward(); });
  expect_memory(calls.scratch, "scratch", false, [&] { calls.backward(); });
  expect_memory(calls.step_state, "step_state", false, [&] { calls.load(); });
  expect_memory(calls.step_state, "step_state", false, [&] { calls.take_step(); });
  expect_memory(calls.scratch, "scratch", false, [&] { calls.take_step(); });
  expect_memory(calls.step_state, "step_state", false, [&] { calls.store(); });
  EXPECT_NO_THROW(calls.all());
}

TEST(WrongSizes, RejectsLengthsOutOfRange) {
  Calls calls;
  const std::vector<std::int64_t> right{4, 0};
  for (const auto& [at, length] :
       {std::pair<std::size_t, std::int64_t>{0, -1}, {1, 5}, {1, max_int}, {0, -max_int}}) {
    std::vector<std::int64_t> lengths = right;
    lengths[at] = length;
    calls.buffers.forward.masks.length = calls.buffers.backward.masks.length = lengths.data();
    const std::string message =
        "masks.length[" + std::to_string(at) + "]: expected 0 to 4, got " + std::to_string(length);
    expect_error(message, [&] { calls.forward(); });
    expect_error(message, [&] { calls.backward(); });
    expect_error(message, [&] { reference::forward(calls.problem.spec, 4, 2, calls.buffers.forward); });
    expect_error(message, [&] { reference::backward(calls.problem.spec, 4, 2, calls.buffers.backward); });
  }
  calls.buffers.forward.masks.length = calls.buffers.backward.masks.length = right.data();
  EXPECT_NO_THROW(calls.all());
}

TEST(WrongSizes, RejectsNegativeSizes) {
  for (const std::int64_t size : {std::int64_t{-1}, -max_int}) {
    const std::string got = "expected at least 0, got " + std::to_string(size);
    expect_error("steps: " + got, [&] { Plan({}, {.steps = size, .device = Device::cpu(1)}); });
    expect_error("batch: " + got, [&] { Plan({}, {.batch = size, .device = Device::cpu(1)}); });
    expect_error("options.checkpoint_interval: " + got,
                 [&] { Plan({}, {.device = Device::cpu(1), .checkpoint_interval = size}); });
    expect_error("steps: " + got, [&] { reference::forward<float>({}, size, 1, {}); });
    expect_error("batch: " + got, [&] { reference::backward<float>({}, 1, size, {}); });
  }
}

TEST(WrongSizes, RejectsArgumentsOfTheOtherType) {
  Calls calls;
  const std::string message = "args: expected float tensors in a plan of precision f32, got double tensors";
  expect_error(message, [&] { calls.plan.forward({}, calls.doubles.forward, calls.tape, calls.scratch); });
  expect_error(message, [&] { calls.plan.backward({}, calls.doubles.backward, calls.tape, calls.scratch); });
  expect_error(message, [&] { calls.plan.load({}, calls.doubles.forward.initial_state, calls.step_state); });
  expect_error(message, [&] { calls.plan.store({}, calls.doubles.forward.final_state, calls.step_state); });
  expect_error(message, [&] { calls.plan.step({}, StepArgs<double>{}, calls.step_state, calls.scratch); });
  const Plan half(calls.problem.spec,
                  {.steps = 4, .batch = 2, .device = Device::cpu(1), .precision = Precision::bf16});
  expect_error("args: expected float tensors in a plan of precision bf16, got double tensors",
               [&] { half.forward({}, calls.doubles.forward, {}, calls.scratch); });
  const Plan exact(calls.problem.spec,
                   {.steps = 4, .batch = 2, .device = Device::cpu(1), .precision = Precision::f64});
  expect_error("args: expected double tensors in a plan of precision f64, got float tensors",
               [&] { exact.load({}, calls.buffers.forward.initial_state, calls.step_state); });
}

TEST(WrongSizes, RejectsBudgetsBelowOneCheckpoint) {
  const Spec spec{.neurons = 32};
  const PlanOptions one{.steps = 9, .batch = 3, .device = Device::cpu(1), .checkpoint_interval = 9};
  const std::size_t one_checkpoint = Plan(spec, one).tape_bytes();
  PlanOptions budget{.steps = 9, .batch = 3, .device = Device::cpu(1)};
  budget.memory_budget = one_checkpoint;
  EXPECT_EQ(Plan(spec, budget).checkpoint_interval(), 9);
  budget.memory_budget = one_checkpoint - 1;
  expect_error("options.memory_budget: expected at least " + std::to_string(one_checkpoint) +
                   " bytes (one checkpoint), got " + std::to_string(one_checkpoint - 1),
               [&] { Plan(spec, budget); });
}

}  // namespace
}  // namespace plasticity::testing
