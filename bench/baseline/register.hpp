#pragma once

#include <memory>

#include "../harness.hpp"
#include "sequence.hpp"

namespace plasticity::bench::baseline {

/// A case run by a baseline, with its arguments and memory.
template <class Implementation>
struct BaselineRun {
  BaselineRun(const Case& c, std::int64_t steps, Device device)
      : problem(c, steps, device), sequence(c.spec, steps, c.batch, device) {}

  void forward() {
    sequence.forward(problem.forward);
    synchronize(problem.device(), {});
  }
  void backward() {
    sequence.backward(problem.backward);
    synchronize(problem.device(), {});
  }

  CaseTensors<float> problem;
  Implementation sequence;
};

/// Registers forward and backward of a baseline. `Implementation` is constructed from a spec, T, B and a
/// device.
template <class Implementation>
bool add_baseline(const std::string& name, DeviceKind kind) {
  using Run = BaselineRun<Implementation>;
  for (const bool gradients : {false, true}) {
    add_operation({.name = gradients ? "backward" : "forward",
                   .contender = name,
                   .applies =
                       [kind](const Case& c, Device device) {
                         return device.kind() == kind && c.precision == Precision::f32 && knows(c.spec) &&
                                (c.group == "experiments" || c.group == "sweep_N");
                       },
                   .check =
                       [gradients](const Case& c, Device device) {
                         Run run(c, checked_steps, device);
                         const std::vector<std::int64_t> picked = checked_elements(c.batch);
                         run.problem.mute_all_but(picked);
                         run.forward();
                         if (gradients) run.backward();
                         const std::vector<std::string> outputs{"y", "modulation", "final."}, grads{"grad."};
                         return compare(run.problem, picked, gradients ? grads : outputs);
                       },
                   .prepare = [gradients](const Case& c, Device device) -> Work {
                     auto run = std::make_shared<Run>(c, c.steps, device);
                     if (!gradients) return [run] { run->forward(); };
                     run->forward();
                     return [run] { run->backward(); };
                   },
                   .cost =
                       [gradients](const Case& c, Device device) {
                         return gradients ? backward_cost(c, c.steps, device)
                                          : forward_cost(c, c.steps, device);
                       },
                   .steps = [](const Case& c) { return c.steps; }});
  }
  return true;
}

}  // namespace plasticity::bench::baseline
