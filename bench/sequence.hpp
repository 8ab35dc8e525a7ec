#pragma once

#include <memory>

#include "harness.hpp"

namespace plasticity::bench {

/// A sequence with its plan and memory, for the benchmarks of forward and backward.
template <class Real>
struct SequenceRun {
  SequenceRun(const Case& c, std::int64_t steps, Device device)
      : problem(c, steps, device),
        plan(c.spec, {.steps = steps, .batch = c.batch, .device = device, .precision = c.precision}),
        tape(device, plan.tape_bytes()),
        scratch(device, plan.scratch_bytes()) {}

  void forward() {
    plan.forward({}, problem.forward, tape.as<Tape>(), scratch.as<Scratch>());
    synchronize(problem.device(), {});
  }
  void backward() {
    plan.backward({}, problem.backward, tape.as<Tape>(), scratch.as<Scratch>());
    synchronize(problem.device(), {});
  }

  CaseTensors<Real> problem;
  Plan plan;
  DeviceMemory tape, scratch;
};

/// Compares forward or backward over a few steps, at the case's own batch size, with the reference: all
/// outputs or all gradients. Only the checked batch elements have an upstream gradient, so that the parameter
/// gradients are theirs alone.
template <class Real>
Check check_sequence(const Case& c, Device device, bool gradients) {
  SequenceRun<Real> run(c, checked_steps, device);
  const std::vector<std::int64_t> picked = checked_elements(c.batch);
  run.problem.mute_all_but(picked);
  run.forward();
  if (gradients) run.backward();
  const std::vector<std::string> outputs{"y", "modulation", "final."}, grads{"grad."};
  return compare(run.problem, picked, gradients ? grads : outputs);
}

}  // namespace plasticity::bench
