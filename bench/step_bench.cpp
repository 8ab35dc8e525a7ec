// Plan::step: a network that runs one step at a time. One benchmark call runs many steps, because a single
// step of a small network is shorter than the resolution of the clock.
#include "harness.hpp"

namespace plasticity::bench {
namespace {

constexpr std::int64_t row = 16;

/// The memory for stepping: inputs of `steps` steps, the step state, consecutive outputs.
template <class Real>
struct Stepper {
  Stepper(const Case& c, std::int64_t steps, Device device)
      : problem(c, steps, device),
        plan(c.spec, {.steps = steps, .batch = c.batch, .device = device, .precision = c.precision}),
        step_state(device, plan.step_state_bytes()),
        scratch(device, plan.scratch_bytes()) {
    plan.load({}, State<const Real>{}, step_state.as<StepState>());
  }

  void operator()() {
    const Case& c = problem.its_case();
    for (std::int64_t t = 0; t < problem.steps(); ++t) {
      StepArgs<Real> args;
      args.parameters = problem.forward.parameters;
      for (const auto& member : Inputs<const Real>::members()) {
        const auto shape = input_shape(c.spec, 1, c.batch, member.name);
        if (shape && problem.forward.inputs.*member.pointer != nullptr)
          args.inputs.*member.pointer = problem.forward.inputs.*member.pointer + t * shape->elements();
      }
      args.y = problem.forward.y + t * c.batch * c.spec.neurons;
      if (problem.forward.modulation != nullptr) args.modulation = problem.forward.modulation + t * c.batch;
      plan.step({}, args, step_state.as<StepState>(), scratch.as<Scratch>());
    }
    synchronize(problem.device(), {});
  }

  CaseTensors<Real> problem;
  Plan plan;
  DeviceMemory step_state, scratch;
};

template <class Real>
Check check(const Case& c, Device device) {
  Stepper<Real> stepper(c, checked_steps, device);
  stepper();
  stepper.plan.store({}, stepper.problem.forward.final_state, stepper.step_state.template as<StepState>());
  const std::vector<std::string> prefixes{"y", "modulation", "final."};
  return compare(stepper.problem, checked_elements(c.batch), prefixes);
}

template <class Real>
Work prepare(const Case& c, Device device) {
  auto stepper = std::make_shared<Stepper<Real>>(c, row, device);
  return [stepper] { (*stepper)(); };
}

const bool added = add_operation(
    {.name = "step",
     .contender = "plasticity",
     .applies = [](const Case& c, Device) { return c.group == "experiments" || c.group == "cells"; },
     .check =
         [](const Case& c, Device d) {
           return c.precision == Precision::f64 ? check<double>(c, d) : check<float>(c, d);
         },
     .prepare =
         [](const Case& c, Device d) {
           return c.precision == Precision::f64 ? prepare<double>(c, d) : prepare<float>(c, d);
         },
     .cost =
         [](const Case& c, Device d) {
           Cost cost = forward_cost(c, row, d);
           // Between two steps the traces of the whole batch are in memory; none stays in a thread's cache.
           cost.footprint = static_cast<std::size_t>(cost.bytes / static_cast<double>(row));
           return cost;
         },
     .steps = [](const Case&) { return row; }});

}  // namespace
}  // namespace plasticity::bench
