// Every tensor of every group, missing where it is needed and there where it is not, in each call of the plan
// and of the reference: the call is refused, the message names the tensor, and nothing is touched.
#include <gtest/gtest.h>

#include "plasticity/error.hpp"
#include "plasticity/reference.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 4, B = 2;

/// One right call of everything, whose arguments a test spoils in one place.
struct Calls {
  Problem problem;
  Buffers<double> buffers;
  Plan plan;
  GuardedMemory tape, scratch, step_state;
  StepArgs<double> step;
  State<const double> load;
  State<double> store;
  double surplus = 0;

  explicit Calls(const Spec& spec)
      : problem(make_problem(spec, T, B, 1, {.reset = true, .length = true, .clamp = true})),
        buffers(problem),
        plan(spec, {.steps = T, .batch = B, .device = Device::cpu(1), .precision = Precision::f64}),
        tape(plan.tape_bytes()),
        scratch(plan.scratch_bytes()),
        step_state(plan.step_state_bytes()) {
    step.parameters = buffers.forward.parameters;
    step.inputs = buffers.forward.inputs;  // those of step 0
    step.y = buffers.forward.y;
    load = buffers.forward.initial_state;
    store = buffers.forward.final_state;
  }
  void forward() const { plan.forward({}, buffers.forward, tape.as<Tape>(), scratch.as<Scratch>()); }
  void backward() const { plan.backward({}, buffers.backward, tape.as<Tape>(), scratch.as<Scratch>()); }

  /// Everything that a call may write.
  std::vector<std::string> contents() const {
    std::vector<std::string> all;
    const auto add = [&](const void* data, std::size_t bytes) {
      all.emplace_back(static_cast<const char*>(data), bytes);
    };
    for (const Memory& memory :
         {static_cast<Memory>(tape.as<Tape>()), static_cast<Memory>(scratch.as<Scratch>()),
          static_cast<Memory>(step_state.as<StepState>())}) {
      add(memory.data, memory.bytes);
    }
    for (const auto& [name, values] : buffers.outputs) add(values.data(), values.size() * sizeof(double));
    for (const auto& [name, values] : buffers.gradients) add(values.data(), values.size() * sizeof(double));
    return all;
  }
};

/// Spoils one pointer, expects `call` to be refused with that message, and mends it.
template <class Pointer, class Call>
void expect_refused(Calls& calls, Pointer& pointer, const std::string& message, Call&& call) {
  const Pointer right = pointer;
  pointer = right == nullptr ? &calls.surplus : nullptr;
  const auto before = calls.contents();
  try {
    call();
    ADD_FAILURE() << "accepted; expected " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(message)) << error.what() << "\nexpected " << message;
  }
  EXPECT_TRUE(calls.contents() == before) << "touched: " << message;
  pointer = right;
}

std::string dimensions(const Shape& shape) {
  std::string list;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(shape.rank); ++axis)
    list += (axis > 0 ? "," : "") + std::to_string(shape.size[axis]);
  return list;
}

/// All members of a group, for a call: missing ones of those that are required, surplus ones of all others.
template <class Group, class Shapes, class Call>
int expect_all_refused(Calls& calls, Group& group, const std::string& prefix, bool required, Shapes shape_of,
                       Call call) {
  int refused = 0;
  for (const auto& member : Group::members()) {
    const std::string argument = prefix + "." + std::string(member.name);
    const std::optional<Shape> shape = shape_of(member.name);
    const bool needed = shape && required && member.name != "u";
    if (shape && !needed) continue;  // it may be null
    EXPECT_EQ(group.*member.pointer != nullptr, shape.has_value()) << argument;
    expect_refused(calls, group.*member.pointer,
                   needed ? argument + ": expected a tensor of shape [" + dimensions(*shape) + "], got null"
                          : argument + ": expected null",
                   call);
    ++refused;
  }
  return refused;
}

const Spec specs[] = {
    {.neurons = 5},
    {.rate = Rate::external,
     .eligibility = Eligibility::after,
     .alpha = Granularity::scalar,
     .inputs = 3,
     .neurons = 5},
    {.cell = Cell::feedforward,
     .rate = Rate::modulated,
     .alpha = Granularity::post,
     .inputs = 3,
     .neurons = 5},
    {.cell = Cell::lstm, .rule = Rule::oja, .rate = Rate::fan_out, .inputs = 3, .neurons = 5},
};

class WrongTensors : public ::testing::TestWithParam<Spec> {
 protected:
  Calls calls{GetParam()};
  const Spec& spec = calls.plan.spec();
  int refused = 0;

  auto parameters() const {
    return [this](std::string_view name) { return parameter_shape(spec, name); };
  }
  auto inputs(std::int64_t steps) const {
    return [this, steps](std::string_view name) { return input_shape(spec, steps, B, name); };
  }
  auto state() const {
    return [this](std::string_view name) { return state_shape(spec, B, name); };
  }
};

TEST_P(WrongTensors, Forward) {
  ForwardArgs<double>& args = calls.buffers.forward;
  for (const bool plan : {true, false}) {
    const auto call = [&] {
      if (plan) {
        calls.forward();
      } else {
        reference::forward(spec, T, B, args);
      }
    };
    refused += expect_all_refused(calls, args.parameters, "parameters", true, parameters(), call);
    refused += expect_all_refused(calls, args.inputs, "inputs", true, inputs(T), call);
    refused += expect_all_refused(calls, args.initial_state, "initial_state", false, state(), call);
    refused += expect_all_refused(calls, args.final_state, "final_state", false, state(), call);
    expect_refused(calls, args.y, "y: expected a tensor of shape [T,B,N], got null", call);
    if (!spec.has_modulator()) expect_refused(calls, args.modulation, "modulation: expected null", call);
  }
  EXPECT_GE(refused, 2 * 12);
}

TEST_P(WrongTensors, Backward) {
  calls.forward();
  BackwardArgs<double>& args = calls.buffers.backward;
  for (const bool plan : {true, false}) {
    const auto call = [&] {
      if (plan) {
        calls.backward();
      } else {
        reference::backward(spec, T, B, args);
      }
    };
    refused += expect_all_refused(calls, args.parameters, "parameters", true, parameters(), call);
    refused += expect_all_refused(calls, args.inputs, "inputs", true, inputs(T), call);
    refused += expect_all_refused(calls, args.initial_state, "initial_state", false, state(), call);
    refused += expect_all_refused(calls, args.dfinal_state, "dfinal_state", false, state(), call);
    refused += expect_all_refused(calls, args.dparameters, "dparameters", false, parameters(), call);
    refused += expect_all_refused(calls, args.dinputs, "dinputs", false, inputs(T), call);
    refused += expect_all_refused(calls, args.dinitial_state, "dinitial_state", false, state(), call);
  }
  EXPECT_GE(refused, 2 * 16);
}

TEST_P(WrongTensors, Stepping) {
  calls.plan.load({}, calls.load, calls.live.as<StepState>());
  const auto load = [&] { calls.plan.load({}, calls.load, calls.live.as<StepState>()); };
  const auto step = [&] {
    calls.plan.step({}, calls.step, calls.live.as<StepState>(), calls.scratch.as<Scratch>());
  };
  const auto store = [&] { calls.plan.store({}, calls.store, calls.live.as<StepState>()); };
  refused += expect_all_refused(calls, calls.load, "state", false, state(), load);
  refused += expect_all_refused(calls, calls.store, "state", false, state(), store);
  refused += expect_all_refused(calls, calls.step.parameters, "parameters", true, parameters(), step);
  refused += expect_all_refused(calls, calls.step.inputs, "inputs", true, inputs(1), step);
  expect_refused(calls, calls.step.y, "y: expected a tensor of shape [B,N], got null", step);
  if (!spec.has_modulator()) expect_refused(calls, calls.step.modulation, "modulation: expected null", step);
  EXPECT_GE(refused, 12);
  EXPECT_NO_THROW(step());  // mended
}

INSTANTIATE_TEST_SUITE_P(Specs, WrongTensors, ::testing::ValuesIn(specs), [](const auto& test) {
  return std::string(to_string(test.param.cell)) + std::to_string(test.index);
});

}  // namespace
}  // namespace plasticity::testing
