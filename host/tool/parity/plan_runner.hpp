#pragma once

#include "tool/parity/case.hpp"

namespace plasticity::parity {

/// Runs cases through a Plan on any device. If the device has its own memory, the buffers are copied to it
/// and the results back.
struct PlanRunner : Runner {
  PlanRunner(Device run_device, Precision run_precision, Execution run_execution = Execution::automatic)
      : device(run_device), precision(run_precision), execution(run_execution) {}
  void run(const Case& c, Buffers<float>& buffers) override;
  void run(const Case& c, Buffers<double>& buffers) override;

  Device device;
  Precision precision;
  Execution execution;
};

}  // namespace plasticity::parity
