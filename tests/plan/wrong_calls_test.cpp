// Wrong calls, each with the code and a part of the message of its error. A call that throws changes nothing.
#include <gtest/gtest.h>

#include <functional>

#include "plasticity/plasticity.hpp"
#include "problems/plan_runner.hpp"
#include "support/errors.hpp"

namespace plasticity::testing {
namespace {

struct Row {
  const char* name;
  ErrorCode code;
  const char* message;  // a part of it
  std::function<void()> call;
};

void expect_error(const Row& row) {
  SCOPED_TRACE(row.name);
  testing::expect_error(row.call, row.code, row.message);
}

constexpr ErrorCode bad_argument = ErrorCode::invalid_argument, bad_spec = ErrorCode::invalid_spec;

TEST(BadInput, Specs) {
  const auto expect_invalid = [](const char* message, Spec spec) {
    expect_error({message, bad_spec, message, [spec] { spec.validate(); }});
    expect_error({message, bad_spec, message, [spec] { Plan(spec, {.device = Device::cpu(1)}); }});
    expect_error({message, bad_spec, message, [spec] { Network(spec, {.device = Device::cpu(1)}); }});
    ForwardArgs<double> args;
    expect_error({message, bad_spec, message, [&] { reference::forward(spec, 1, 1, args); }});
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  expect_invalid("spec.neurons: expected at least 1, got 0", {.neurons = 0});
  expect_invalid("spec.neurons: expected at least 1, got -3", {.neurons = -3});
  expect_invalid("spec.inputs: expected at least 0, got -1", {.inputs = -1});
  expect_invalid("spec.inputs: expected at least 1 for cell feedforward", {.cell = Cell::feedforward});
  expect_invalid("spec.inputs: expected at least 1 for cell lstm", {.cell = Cell::lstm});
  expect_invalid("spec.clip: expected a finite value above 0 for rule hard_clip, got 0",
                 {.rule = Rule::hard_clip, .clip = 0});
  expect_invalid("spec.clip: expected a finite value above 0 for rule read_clip, got -1",
                 {.rule = Rule::read_clip, .clip = -1});
  expect_invalid("spec.clip", {.rule = Rule::hard_clip, .clip = nan});
  expect_invalid("spec.clip", {.rule = Rule::hard_clip, .clip = std::numeric_limits<double>::infinity()});
  expect_invalid("spec.rate: expected modulated, fan_out or external with eligibility before",
                 {.eligibility = Eligibility::before});
  expect_invalid("spec.rate: expected modulated, fan_out or external with eligibility after",
                 {.eligibility = Eligibility::after});
  expect_invalid("spec.activation: expected tanh for cell lstm",
                 {.cell = Cell::lstm, .activation = Activation::relu, .inputs = 1});
  expect_invalid("spec.activation: expected tanh for cell lstm",
                 {.cell = Cell::lstm, .activation = Activation::softmax, .inputs = 1});
  expect_invalid("spec.modulator_source: expected hidden for cell rnn",
                 {.modulator_source = ModulatorSource::cell});
  expect_invalid("spec.modulator_source: expected hidden for cell feedforward",
                 {.cell = Cell::feedforward, .modulator_source = ModulatorSource::cell, .inputs = 1});
  expect_invalid("spec.cell: expected a value of its enumeration (0 to 2), got 7",
                 {.cell = static_cast<Cell>(7)});
  const std::string last_rule = std::to_string(names<Rule>().size() - 1);
  expect_invalid(("spec.rule: expected a value of its enumeration (0 to " + last_rule + "), got -1").c_str(),
                 {.rule = static_cast<Rule>(-1)});
  expect_invalid("spec.rate: expected a value", {.rate = static_cast<Rate>(4)});
  expect_invalid("spec.eligibility: expected a value", {.eligibility = static_cast<Eligibility>(3)});
  expect_invalid("spec.alpha: expected a value", {.alpha = static_cast<Granularity>(4)});
  expect_invalid("spec.activation: expected a value", {.activation = static_cast<Activation>(5)});
  expect_invalid("spec.modulator_source: expected a value",
                 {.modulator_source = static_cast<ModulatorSource>(2)});
}

TEST(BadInput, NamesAndDevices) {
  const Row rows[] = {
      {"unknown rule", bad_argument,
       "--rule: expected one of decay oja hard_clip soft_clip additive read_clip, got 'hebb'",
       [] { (void)parse<Rule>("hebb", "--rule"); }},
      {"empty name", bad_argument, "cell: expected one of feedforward rnn lstm, got ''",
       [] { (void)parse<Cell>("", "cell"); }},
      {"case counts", bad_argument, "got 'RNN'", [] { (void)parse<Cell>("RNN", "cell"); }},
      {"negative threads", bad_argument, "threads: expected 0 to 1024, got -1",
       [] { (void)Device::cpu(-1); }},
      {"too many threads", bad_argument, "threads: expected 0 to 1024, got 5000",
       [] { (void)Device::cpu(5000); }},
      {"negative device", bad_argument, "index: expected at least 0, got -2", [] { (void)Device::cuda(-2); }},
  };
  for (const Row& row : rows) expect_error(row);
  const std::string reason = cuda_unavailable_reason();
  if (reason.empty()) GTEST_SKIP() << "this machine has a CUDA device";
  expect_error({"no CUDA", ErrorCode::device_unavailable, reason.c_str(), [] { (void)Device::cuda(); }});
}

TEST(BadInput, PlanOptions) {
  const Spec spec{.neurons = 4};
  const auto plan = [&](PlanOptions options) {
    return [=] {
      PlanOptions chosen = options;
      chosen.device = Device::cpu(1);
      Plan(spec, chosen);
    };
  };
  constexpr std::int64_t huge = std::int64_t{1} << 40;
  const Row rows[] = {
      {"steps", bad_argument, "steps: expected at least 0, got -1", plan({.steps = -1})},
      {"batch", bad_argument, "batch: expected at least 0, got -1", plan({.batch = -1})},
      {"interval", bad_argument, "checkpoint_interval: expected at least 0, got -4",
       plan({.checkpoint_interval = -4})},
      {"budget", bad_argument, "options.memory_budget: expected at least",
       plan({.steps = 10, .memory_budget = 64})},
      {"overflow", bad_argument, "2^48", plan({.steps = huge, .batch = huge})},
      {"precision", bad_argument, "options.precision: expected f64, f32 or bf16, got 9",
       plan({.precision = static_cast<Precision>(9)})},
      {"execution", ErrorCode::unsupported, "options.execution: expected automatic on the CPU",
       plan({.execution = Execution::graph})},
      {"no execution", bad_argument, "options.execution: expected a value of its enumeration, got 9",
       plan({.execution = static_cast<Execution>(9)})},
      {"clip too small for bfloat16", bad_spec, "spec.clip: expected 2e-38 to 3e38 for rule hard_clip in",
       [] {
         Plan({.rule = Rule::hard_clip, .clip = 1e-42},
              {.device = Device::cpu(1), .precision = Precision::bf16});
       }},
      {"clip too large for bfloat16", bad_spec, "spec.clip: expected 2e-38 to 3e38 for rule read_clip in",
       [] {
         Plan({.rule = Rule::read_clip, .clip = 3.4e38},
              {.device = Device::cpu(1), .precision = Precision::bf16});
       }},
      {"trace overflow", bad_argument, "size of a trace",
       [] { Plan({.neurons = std::int64_t{1} << 31}, {.batch = 4, .device = Device::cpu(1)}); }},
  };
  for (const Row& row : rows) expect_error(row);
}

/// A correct call. Each test breaks it in one place.
struct Call {
  Spec spec{.rule = Rule::decay,
            .rate = Rate::fan_out,
            .eligibility = Eligibility::before,
            .inputs = 3,
            .neurons = 5};
  TestCase problem = make_test_case(spec, 4, 2, 60, {.reset = true, .length = true, .clamp = true});
  Buffers<float> buffers{problem};
  Plan plan{spec, {.steps = 4, .batch = 2, .device = Device::cpu(1)}};
  DeviceMemory tape_memory{Device::cpu(1), plan.tape_bytes() + 64},
      scratch_memory{Device::cpu(1), plan.scratch_bytes() + 64},
      step_state_memory{Device::cpu(1), plan.step_state_bytes() + 64};
  Tape tape = tape_memory.as<Tape>();
  Scratch scratch = scratch_memory.as<Scratch>();
  StepState step_state = step_state_memory.as<StepState>();
  ForwardArgs<float>& forward = buffers.forward;
  BackwardArgs<float>& backward = buffers.backward;
  std::vector<float> spare = std::vector<float>(1000);  // for a tensor that must be null
};

TEST(BadInput, ForwardCalls) {
  struct BrokenCall {
    const char* message;
    std::function<void(Call&)> break_call;
  };
  const BrokenCall list[] = {
      {"parameters.w: expected a tensor of shape [5,5], got null",
       [](Call& c) { c.forward.parameters.w = nullptr; }},
      {"parameters.w_in: expected a tensor of shape [3,5]",
       [](Call& c) { c.forward.parameters.w_in = nullptr; }},
      {"parameters.b: expected a tensor of shape [5]", [](Call& c) { c.forward.parameters.b = nullptr; }},
      {"parameters.alpha: expected a tensor of shape [5,5]",
       [](Call& c) { c.forward.parameters.alpha = nullptr; }},
      {"parameters.eta: expected a tensor of shape [1]", [](Call& c) { c.forward.parameters.eta = nullptr; }},
      {"parameters.modulator.weight: expected",
       [](Call& c) { c.forward.parameters.modulator_weight = nullptr; }},
      {"parameters.modulator.bias: expected", [](Call& c) { c.forward.parameters.modulator_bias = nullptr; }},
      {"parameters.fan_out.weight: expected", [](Call& c) { c.forward.parameters.fan_out_weight = nullptr; }},
      {"parameters.fan_out.bias: expected", [](Call& c) { c.forward.parameters.fan_out_bias = nullptr; }},
      {"parameters.w_gates: expected null", [](Call& c) { c.forward.parameters.w_gates = c.spare.data(); }},
      {"inputs.x: expected a tensor of shape [4,2,3], got null",
       [](Call& c) { c.forward.inputs.x = nullptr; }},
      {"inputs.pre: expected null", [](Call& c) { c.forward.inputs.pre = c.spare.data(); }},
      {"inputs.rate: expected null", [](Call& c) { c.forward.inputs.rate = c.spare.data(); }},
      {"initial_state.c: expected null", [](Call& c) { c.forward.initial_state.c = c.spare.data(); }},
      {"final_state.c: expected null", [](Call& c) { c.forward.final_state.c = c.spare.data(); }},
      {"y: expected a tensor of shape [T,B,N], got null", [](Call& c) { c.forward.y = nullptr; }},
      {"masks.clamp_value: expected a tensor", [](Call& c) { c.forward.masks.clamp_value = nullptr; }},
      {"masks.clamp: expected a tensor", [](Call& c) { c.forward.masks.clamp = nullptr; }},
      {"masks.length[1]: expected 0 to 4, got 5",
       [](Call& c) {
         c.problem.length = {0, 5};
       }},
      {"masks.length[0]: expected 0 to 4, got -1",
       [](Call& c) {
         c.problem.length = {-1, 0};
       }},
      {"tape.bytes: expected at least", [](Call& c) { c.tape.bytes = 10; }},
      {"tape.data: expected memory aligned to 64 bytes",
       [](Call& c) { c.tape.data = static_cast<std::byte*>(c.tape.data) + 4; }},
      {"scratch.data: expected", [](Call& c) { c.scratch.data = nullptr; }},
      {"scratch.bytes: expected at least", [](Call& c) { c.scratch.bytes = c.plan.scratch_bytes() - 1; }},
      {"scratch.data: expected memory aligned to 64 bytes",
       [](Call& c) { c.scratch.data = static_cast<std::byte*>(c.scratch.data) + 16; }},
  };
  for (const BrokenCall& broken : list) {
    Call call;
    call.problem.length = {2, 4};
    call.forward.masks.length = call.problem.length.data();
    broken.break_call(call);
    call.forward.masks.length = call.problem.length.data();
    expect_error({broken.message, bad_argument, broken.message,
                  [&] { call.plan.forward({}, call.forward, call.tape, call.scratch); }});
    for (const auto& [name, values] : call.buffers.outputs) {
      for (const float value : values)
        ASSERT_TRUE(std::isnan(value)) << name << " was written: " << broken.message;
    }
  }
}

TEST(BadInput, BackwardCalls) {
  struct BrokenCall {
    const char* message;
    std::function<void(Call&)> break_call;
  };
  const BrokenCall list[] = {
      {"tape.data: expected", [](Call& c) { c.tape = {}; }},
      {"tape.bytes: expected at least", [](Call& c) { c.tape.bytes /= 2; }},
      {"scratch.data: expected", [](Call& c) { c.scratch = {}; }},
      {"parameters.w: expected", [](Call& c) { c.backward.parameters.w = nullptr; }},
      {"inputs.x: expected", [](Call& c) { c.backward.inputs.x = nullptr; }},
      {"dparameters.w_gates: expected null",
       [](Call& c) { c.backward.dparameters.w_gates = c.spare.data(); }},
      {"dinputs.pre: expected null", [](Call& c) { c.backward.dinputs.pre = c.spare.data(); }},
      {"dinputs.rate: expected null", [](Call& c) { c.backward.dinputs.rate = c.spare.data(); }},
      {"dfinal_state.c: expected null", [](Call& c) { c.backward.dfinal_state.c = c.spare.data(); }},
      {"dinitial_state.c: expected null", [](Call& c) { c.backward.dinitial_state.c = c.spare.data(); }},
      {"masks.clamp_value: expected a tensor", [](Call& c) { c.backward.masks.clamp_value = nullptr; }},
  };
  for (const BrokenCall& broken : list) {
    Call call;
    call.plan.forward({}, call.forward, call.tape, call.scratch);
    broken.break_call(call);
    expect_error({broken.message, bad_argument, broken.message,
                  [&] { call.plan.backward({}, call.backward, call.tape, call.scratch); }});
    for (const float value : call.buffers.gradients.at("input.x"))
      ASSERT_TRUE(std::isnan(value)) << broken.message;
    for (const float value : call.buffers.gradients.at("param.w")) ASSERT_EQ(value, 0) << broken.message;
  }
}

TEST(BadInput, SteppingAndTypes) {
  Call call;
  StepArgs<float> step;
  step.parameters = call.forward.parameters;
  step.inputs = call.forward.inputs;
  step.y = call.forward.y;
  call.plan.load({}, State<const float>{}, call.step_state);
  const std::int64_t lengths[] = {1, 1};
  const Buffers<double> doubles(call.problem);
  const Row rows[] = {
      {"double in f32", bad_argument,
       "args: expected float tensors in a plan of precision f32, got double tensors",
       [&] { call.plan.forward({}, doubles.forward, call.tape, call.scratch); }},
      {"double backward", bad_argument, "args: expected float tensors",
       [&] { call.plan.backward({}, doubles.backward, call.tape, call.scratch); }},
      {"float in f64", bad_argument,
       "args: expected double tensors in a plan of precision f64, got float tensors",
       [&] {
         const Plan plan(call.spec,
                         {.steps = 4, .batch = 2, .device = Device::cpu(1), .precision = Precision::f64});
         plan.forward({}, call.forward, call.tape, call.scratch);
       }},
      {"length in a step", bad_argument, "masks.length: expected null in a single step",
       [&] {
         StepArgs<float> wrong = step;
         wrong.masks.length = lengths;
         call.plan.step({}, wrong, call.step_state, call.scratch);
       }},
      {"no y", bad_argument, "y: expected a tensor of shape [B,N]",
       [&] {
         StepArgs<float> wrong = step;
         wrong.y = nullptr;
         call.plan.step({}, wrong, call.step_state, call.scratch);
       }},
      {"no step_state", bad_argument, "step_state.data: expected",
       [&] { call.plan.step({}, step, {}, call.scratch); }},
      {"short step_state", bad_argument, "step_state.bytes: expected",
       [&] {
         call.plan.load({}, State<const float>{}, StepState{{call.step_state.data, 64}});
       }},
      {"state without c", bad_argument, "state.c: expected null, because the spec has no such tensor (rnn ",
       [&] { call.plan.load({}, State<const float>{.c = call.spare.data()}, call.step_state); }},
      {"store c", bad_argument, "state.c: expected null",
       [&] { call.plan.store({}, State<float>{.c = call.spare.data()}, call.step_state); }},
  };
  for (const Row& row : rows) expect_error(row);
}

TEST(BadInput, Modules) {
  Network network({.neurons = 4}, {.batch = 2, .device = Device::cpu(1)});
  Network modulated({.rate = Rate::external, .neurons = 4}, {.batch = 2, .device = Device::cpu(1)});
  std::vector<float> values(8), gradient(8);
  std::vector<std::uint8_t> flags(8, 1);
  std::vector<std::int64_t> labels{0, 5};
  io::TensorFile other;
  Network({.neurons = 5}, {.device = Device::cpu(1)}).save(other);
  const auto load_with = [&](const char* key, const char* value) {
    io::TensorFile wrong = other;
    wrong.source = "saved.safetensors";
    wrong.metadata[key] = value;
    network.load(wrong);
  };
  std::vector<ParameterView> twice = network.parameters();
  twice.push_back(twice.front());
  const Row rows[] = {
      {"u size", bad_argument, "sequence.u: expected 8 elements, got 7",
       [&] { network.forward({.u = std::span(values).first(7)}); }},
      {"x without inputs", bad_argument, "sequence.x: expected an empty view",
       [&] { network.forward({.x = values}); }},
      {"rate missing", bad_argument, "inputs.rate: expected a tensor",
       [&] { modulated.forward({.u = values}); }},
      {"reset size", bad_argument, "sequence.reset: expected 2 elements, got 8",
       [&] { network.forward({.reset = flags}); }},
      {"clamp alone", bad_argument, "masks.clamp_value: expected",
       [&] { network.forward({.clamp = flags}); }},
      {"steps", bad_argument, "sequence.steps: expected at least 0, got -1",
       [&] { network.forward({.steps = -1}); }},
      {"backward first", bad_argument, "backward: expected a window that forward() recorded, got none",
       [&] { network.backward(values); }},
      {"dy size", bad_argument, "dy: expected 8 elements, got 3",
       [&] {
         network.forward({.u = values});
         network.backward(std::span<const float>(values).first(3));
       }},
      {"no such parameter", bad_argument, "name: expected one of w, alpha, eta, got 'beta'",
       [&] { network.parameter("beta"); }},
      {"no such state", bad_argument, "name: expected one of y, hebb, got 'c'", [&] { network.state("c"); }},
      {"f64 network", bad_argument, "options.precision: expected f32 or bf16",
       [] { Network({}, {.precision = Precision::f64}); }},
      {"load with windows", bad_argument, "load: expected a network without recorded windows",
       [&] { network.load(other); }},
      {"other spec", ErrorCode::format, "N=4, got rnn",
       [&] {
         network.detach();
         network.load(other);
       }},
      {"unknown cell in file", ErrorCode::format,
       "saved.safetensors metadata 'cell': expected one of feedforward rnn lstm, got 'gru'",
       [&] { load_with("cell", "gru"); }},
      {"no neurons in file", ErrorCode::format,
       "saved.safetensors metadata: spec.neurons: expected at least 1, got 0", [&] { load_with("N", "0"); }},
      {"nothing to load", ErrorCode::format, "metadata 'cell'", [&] { network.load(io::TensorFile{}); }},
      {"learning rate", bad_argument, "learning_rate: expected", [] { Adam({.learning_rate = -1}); }},
      {"beta", bad_argument, "beta2: expected a value in [0, 1), got 1", [] { Adam({.beta2 = 1}); }},
      {"parameter twice", bad_argument, "parameter 'w': occurs twice", [&] { Adam().step(twice); }},
      {"no adam in file", ErrorCode::format, "adam.steps", [] { Adam().load(io::TensorFile{}); }},
      {"norm", bad_argument, "max_norm: expected a norm above 0, got 0",
       [&] { clip_gradients(network.parameters(), 0); }},
      {"target size", bad_argument, "target: expected 8 elements, got 2",
       [&] { mse_loss(values, std::span<const float>(values).first(2), gradient); }},
      {"label", bad_argument, "labels[1]: expected -1 to 3, got 5",
       [&] { softmax_cross_entropy(values, labels, 4, gradient); }},
      {"logits", bad_argument, "logits: expected 6 elements, got 8",
       [&] { softmax_cross_entropy(values, labels, 3, {}); }},
      {"linear overflow", bad_argument, "size of args.x, rows * inputs: expected at most 2^48, got more",
       [&] {
         linear_forward(Device::cpu(), {}, {.rows = std::int64_t{1} << 40, .inputs = std::int64_t{1} << 40});
       }},
      {"linear sizes", bad_argument, "outputs: expected at least 1, got 0", [] { Linear(3, 0, 1); }},
      {"linear x", bad_argument, "x: expected rows of 3 elements, got 8 elements",
       [&] { Linear(3, 2, 1).forward(values, gradient); }},
      {"linear y", bad_argument, "y: expected 2 rows of 2 elements, got 8 elements",
       [&] { Linear(4, 2, 1).forward(values, gradient); }},
  };
  for (const Row& row : rows) expect_error(row);
}

}  // namespace
}  // namespace plasticity::testing
