// In each call of the plan and of the reference, every required tensor is set to null, and every tensor that
// the spec does not have is given. The call must throw, name the tensor, and write nothing.
#include <gtest/gtest.h>

#include "model/for_each_tensor.hpp"
#include "plasticity/error.hpp"
#include "plasticity/reference.hpp"
#include "problems/plan_runner.hpp"

namespace plasticity::testing {
namespace {

constexpr std::int64_t T = 4, B = 2;

/// Correct calls. Each test changes one pointer of their arguments.
struct Calls {
  TestCase problem;
  Buffers<double> buffers;
  Plan plan;
  GuardedMemory tape, scratch, step_state;
  StepArgs<double> step;
  State<const double> load;
  State<double> store;
  double surplus = 0;

  explicit Calls(const Spec& spec)
      : problem(make_test_case(spec, T, B, 1, {.reset = true, .length = true, .clamp = true})),
        buffers(problem),
        plan(spec, {.steps = T, .batch = B, .device = Device::cpu(1), .precision = Precision::f64}),
        tape(plan.tape_bytes()),
        scratch(plan.scratch_bytes()),
        step_state(plan.step_state_bytes()) {
    step.parameters = buffers.forward.parameters;
    step.inputs = buffers.forward.inputs;  // step 0
    step.y = buffers.forward.y;
    load = buffers.forward.initial_state;
    store = buffers.forward.final_state;
  }
  void forward() const { plan.forward({}, buffers.forward, tape.as<Tape>(), scratch.as<Scratch>()); }
  void backward() const { plan.backward({}, buffers.backward, tape.as<Tape>(), scratch.as<Scratch>()); }

  /// Returns the bytes of all memory that a call may write.
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

/// Sets a null pointer to a tensor or a non-null one to null, expects an error with that message, and
/// restores it.
template <class Pointer, class Call>
void expect_error(Calls& calls, Pointer& pointer, const std::string& message, Call&& call) {
  const Pointer right = pointer;
  pointer = right == nullptr ? &calls.surplus : nullptr;
  const auto before = calls.contents();
  try {
    call();
    ADD_FAILURE() << "no error; expected " << message;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    EXPECT_TRUE(std::string(error.what()).starts_with(message)) << error.what() << "\nexpected " << message;
  }
  EXPECT_TRUE(calls.contents() == before) << "changed memory: " << message;
  pointer = right;
}

std::string dimensions(const Shape& shape) {
  std::string list;
  for (std::size_t axis = 0; axis < static_cast<std::size_t>(shape.rank); ++axis)
    list += (axis > 0 ? "," : "") + std::to_string(shape.size[axis]);
  return list;
}

/// Checks a call with each tensor of a group: required ones missing, and ones that the spec does not have
/// given. Returns the number of errors.
template <class Group, class Call>
int expect_all_errors(Calls& calls, std::int64_t steps, Group& group, const std::string& prefix,
                      bool required, Call call) {
  int errors = 0;
  const auto check = [&](std::string_view name, auto*& pointer, const std::optional<Shape>& shape) {
    const std::string argument = prefix + "." + std::string(name);
    const bool needed = shape && required && name != "u";
    if (shape && !needed) return;  // may be null
    EXPECT_EQ(pointer != nullptr, shape.has_value()) << argument;
    expect_error(calls, pointer,
                 needed ? argument + ": expected a tensor of shape [" + dimensions(*shape) + "], got null"
                        : argument + ": expected null",
                 call);
    ++errors;
  };
  for_each_tensor(calls.plan.spec(), steps, B, group, check);
  return errors;
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
  int errors = 0;
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
    errors += expect_all_errors(calls, T, args.parameters, "parameters", true, call);
    errors += expect_all_errors(calls, T, args.inputs, "inputs", true, call);
    errors += expect_all_errors(calls, T, args.initial_state, "initial_state", false, call);
    errors += expect_all_errors(calls, T, args.final_state, "final_state", false, call);
    expect_error(calls, args.y, "y: expected a tensor of shape [T,B,N], got null", call);
    if (!spec.has_modulator()) expect_error(calls, args.modulation, "modulation: expected null", call);
  }
  EXPECT_GE(errors, 2 * 12);
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
    errors += expect_all_errors(calls, T, args.parameters, "parameters", true, call);
    errors += expect_all_errors(calls, T, args.inputs, "inputs", true, call);
    errors += expect_all_errors(calls, T, args.initial_state, "initial_state", false, call);
    errors += expect_all_errors(calls, T, args.dfinal_state, "dfinal_state", false, call);
    errors += expect_all_errors(calls, T, args.dparameters, "dparameters", false, call);
    errors += expect_all_errors(calls, T, args.dinputs, "dinputs", false, call);
    errors += expect_all_errors(calls, T, args.dinitial_state, "dinitial_state", false, call);
  }
  EXPECT_GE(errors, 2 * 16);
}

TEST_P(WrongTensors, Stepping) {
  calls.plan.load({}, calls.load, calls.step_state.as<StepState>());
  const auto load = [&] { calls.plan.load({}, calls.load, calls.step_state.as<StepState>()); };
  const auto step = [&] {
    calls.plan.step({}, calls.step, calls.step_state.as<StepState>(), calls.scratch.as<Scratch>());
  };
  const auto store = [&] { calls.plan.store({}, calls.store, calls.step_state.as<StepState>()); };
  errors += expect_all_errors(calls, 1, calls.load, "state", false, load);
  errors += expect_all_errors(calls, 1, calls.store, "state", false, store);
  errors += expect_all_errors(calls, 1, calls.step.parameters, "parameters", true, step);
  errors += expect_all_errors(calls, 1, calls.step.inputs, "inputs", true, step);
  expect_error(calls, calls.step.y, "y: expected a tensor of shape [B,N], got null", step);
  if (!spec.has_modulator()) expect_error(calls, calls.step.modulation, "modulation: expected null", step);
  EXPECT_GE(errors, 12);
  EXPECT_NO_THROW(step());  // with all pointers restored
}

INSTANTIATE_TEST_SUITE_P(Specs, WrongTensors, ::testing::ValuesIn(specs), [](const auto& test) {
  return std::string(to_string(test.param.cell)) + std::to_string(test.index);
});

}  // namespace
}  // namespace plasticity::testing
