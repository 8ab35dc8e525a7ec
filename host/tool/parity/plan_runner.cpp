#include "tool/parity/plan_runner.hpp"

#include "plan/staging.hpp"

namespace plasticity::parity {
namespace {

template <class Real>
void run_on(Device device, Precision precision, Execution execution, const Case& c, Buffers<Real>& buffers) {
  const Spec& spec = c.spec;
  const Plan plan(
      spec,
      {.steps = c.steps, .batch = c.batch, .device = device, .precision = precision, .execution = execution});
  ForwardArgs<Real> forward = buffers.forward;
  BackwardArgs<Real> backward = buffers.backward;
  DeviceMemory tensors;
  Staging staging(device, {}, tensors);
  stage_forward(staging, spec, c.steps, c.batch, forward);
  stage_gradients(staging, spec, c.steps, c.batch, backward);
  staging.send();
  backward.parameters = forward.parameters;
  backward.inputs = forward.inputs;
  backward.masks = forward.masks;
  backward.initial_state = forward.initial_state;

  const DeviceMemory tape(device, plan.tape_bytes()), scratch(device, plan.scratch_bytes());
  plan.forward({}, forward, tape.as<Tape>(), scratch.as<Scratch>());
  plan.backward({}, backward, tape.as<Tape>(), scratch.as<Scratch>());
  staging.fetch();
}

}  // namespace

void PlanRunner::run(const Case& c, Buffers<float>& buffers) {
  run_on(device, precision, execution, c, buffers);
}
void PlanRunner::run(const Case& c, Buffers<double>& buffers) {
  run_on(device, precision, execution, c, buffers);
}

}  // namespace plasticity::parity
