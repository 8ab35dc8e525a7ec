#pragma once

#include "plasticity/plan.hpp"
#include "problems/random_problem.hpp"
#include "support/guarded_memory.hpp"

namespace plasticity::testing {

struct RunOptions {
  Device device = Device::cpu(1);
  Precision precision = Precision::f32;  // if Real is float; double always runs in f64
  std::int64_t checkpoint_interval = 0;
  std::size_t memory_budget = 0;
};

/// Runs a test case forward and backward through a Plan, in GuardedMemory. Returns whether all canaries are
/// intact.
template <class Real>
bool run_plan(const TestCase& problem, Buffers<Real>& buffers, const RunOptions& options) {
  const Plan plan(problem.spec, {.steps = problem.steps,
                                 .batch = problem.batch,
                                 .device = options.device,
                                 .precision = sizeof(Real) == 8 ? Precision::f64 : options.precision,
                                 .checkpoint_interval = options.checkpoint_interval,
                                 .memory_budget = options.memory_budget});
  const GuardedMemory tape(plan.tape_bytes()), scratch(plan.scratch_bytes()), other(plan.scratch_bytes());
  plan.forward({}, buffers.forward, tape.as<Tape>(), scratch.as<Scratch>());
  plan.backward({}, buffers.backward, tape.as<Tape>(),
                other.as<Scratch>());  // scratch is undefined between calls
  return tape.intact() && scratch.intact() && other.intact();
}

}  // namespace plasticity::testing
