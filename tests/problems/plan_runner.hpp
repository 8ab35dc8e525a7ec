#pragma once

#include <cstring>

#include "plasticity/device_memory.hpp"
#include "plasticity/plan.hpp"
#include "problems/random_problem.hpp"

namespace plasticity::testing {

struct RunOptions {
  Device device = Device::cpu(1);
  Precision precision = Precision::f32;  // if Real is float; double always runs in f64
  std::int64_t checkpoint_interval = 0;
  std::size_t memory_budget = 0;
};

/// Host memory filled with NaN patterns, between two canaries.
class GuardedMemory {
 public:
  explicit GuardedMemory(std::size_t bytes) : memory_(Device::cpu(1), bytes + 128), bytes_(bytes) {
    std::memset(memory_.data(), 0xff, bytes + 128);
  }
  template <class Kind>
  Kind as() const {
    return Kind{{static_cast<std::byte*>(memory_.data()) + 64, bytes_}};
  }
  bool intact() const {
    const auto* bytes = static_cast<const unsigned char*>(memory_.data());
    for (std::size_t k = 0; k < 64; ++k) {
      if (bytes[k] != 0xff || bytes[64 + bytes_ + k] != 0xff) return false;
    }
    return true;
  }

 private:
  DeviceMemory memory_;
  std::size_t bytes_;
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
