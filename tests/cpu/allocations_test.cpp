// A call that succeeds allocates no memory. This program replaces operator new to count allocations.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <vector>

#include "plasticity/plasticity.hpp"
#include "support/replaced_new.hpp"

namespace plasticity::testing {
namespace {

std::atomic<std::int64_t> allocations{0};

}  // namespace

void* allocate(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  return aligned_memory(bytes, alignment);
}

void release(void* data, std::size_t) noexcept { std::free(data); }

namespace {

/// Returns the number of allocations of `call`.
template <class Call>
std::int64_t allocations_of(Call call) {
  const std::int64_t before = allocations;
  call();
  return allocations - before;
}

/// The cells with the most tensors, whose names are longer than the buffer inside a std::string.
std::vector<Spec> specs() {
  return {{.cell = Cell::rnn, .inputs = 0, .neurons = 16},
          {.cell = Cell::rnn,
           .rate = Rate::fan_out,
           .eligibility = Eligibility::after,
           .inputs = 3,
           .neurons = 20},
          {.cell = Cell::lstm, .rule = Rule::hard_clip, .rate = Rate::fan_out, .inputs = 3, .neurons = 300},
          {.cell = Cell::feedforward, .rate = Rate::external, .inputs = 5, .neurons = 7}};
}

/// All tensors of a few steps of a plan. The parameters are constants.
struct Call {
  Call(const Spec& spec, std::int64_t T, std::int64_t B) {
    const auto tensor = [&](const std::optional<Shape>& shape) {
      return memory.emplace_back(shape ? static_cast<std::size_t>(shape->elements()) : 0, .01f).data();
    };
    memory.reserve(64);
    for (const auto& [name, pointer] : Parameters<const float>::members()) {
      const auto shape = parameter_shape(spec, name);
      if (shape) args.parameters.*pointer = tensor(shape);
    }
    for (const auto& [name, pointer] : Parameters<float>::members()) {
      const auto shape = parameter_shape(spec, name);
      if (shape) gradients.*pointer = tensor(shape);
    }
    for (const auto& [name, pointer] : Inputs<const float>::members()) {
      const auto shape = input_shape(spec, T, B, name);
      if (shape) args.inputs.*pointer = tensor(shape);
    }
    args.y = tensor(Shape{{T, B, spec.neurons}, 3});
    if (spec.has_modulator()) args.modulation = tensor(Shape{{T, B}, 2});
    step.parameters = args.parameters;
    step.inputs = args.inputs;
    step.y = args.y;
    step.modulation = args.modulation;
    backward.parameters = args.parameters;
    backward.inputs = args.inputs;
    backward.dparameters = gradients;
    backward.dy = tensor(Shape{{T, B, spec.neurons}, 3});
  }
  std::vector<std::vector<float>> memory;
  ForwardArgs<float> args;
  StepArgs<float> step;
  BackwardArgs<float> backward;
  Parameters<float> gradients;
};

TEST(Allocations, NoneInPlanCalls) {
  for (const Spec& spec : specs()) {
    SCOPED_TRACE(to_string(spec));
    const Plan plan(spec, {.steps = 3, .batch = 3, .device = Device::cpu(1)});
    Call call(spec, 3, 3);
    const DeviceMemory state(Device::cpu(1), plan.step_state_bytes()),
        tape(Device::cpu(1), plan.tape_bytes()), scratch(Device::cpu(1), plan.scratch_bytes());
    const auto live = state.as<StepState>();
    EXPECT_EQ(allocations_of([&] { plan.load({}, State<const float>{}, live); }), 0);
    EXPECT_EQ(allocations_of([&] { plan.step({}, call.step, live, scratch.as<Scratch>()); }), 0);
    EXPECT_EQ(allocations_of([&] { plan.store({}, State<float>{}, live); }), 0);
    EXPECT_EQ(allocations_of([&] { plan.forward({}, call.args, tape.as<Tape>(), scratch.as<Scratch>()); }),
              0);
    EXPECT_EQ(
        allocations_of([&] { plan.backward({}, call.backward, tape.as<Tape>(), scratch.as<Scratch>()); }), 0);
  }
}

TEST(Allocations, NoneInInfer) {
  for (const Spec& spec : specs()) {
    SCOPED_TRACE(to_string(spec));
    Network network(spec, {.batch = 3, .device = Device::cpu(1)});
    const Call call(spec, 1, 3);
    Sequence sequence;
    const auto view = [&](const float* data, std::string_view name) {
      const auto shape = input_shape(spec, 1, 3, name);
      return std::span<const float>(data, shape ? static_cast<std::size_t>(shape->elements()) : 0);
    };
    sequence.x = view(call.args.inputs.x, "x");
    sequence.u = view(call.args.inputs.u, "u");
    sequence.pre = view(call.args.inputs.pre, "pre");
    sequence.rate = view(call.args.inputs.rate, "rate");
    for (int k = 0; k < 2; ++k) network.infer(sequence);  // allocate memory for two outputs
    EXPECT_EQ(allocations_of([&] { network.infer(sequence); }), 0);
  }
}

TEST(Allocations, AreCounted) {
  std::vector<int> list;
  EXPECT_EQ(allocations_of([&] { list.resize(3); }), 1);
}

}  // namespace
}  // namespace plasticity::testing
