#pragma once

#include <functional>
#include <string>

#include "case_tensors.hpp"
#include "cost.hpp"

// Each operation is a benchmark per case, device and cache state:
// OPERATION/GROUP/CASE/CONTENDER/DEVICE/CACHE,
// "forward/experiments/rnn_decay_N256_B32_T30/plasticity/cpu/warm".
namespace plasticity::bench {

/// The timed call, made from a case. It is called repeatedly, and its work is done when it returns.
using Work = std::function<void()>;

struct Operation {
  std::string name;       // "forward"
  std::string contender;  // "plasticity" or a baseline
  std::function<bool(const Case&, Device)> applies;
  std::function<Check(const Case&, Device)> check;  // compares a few steps of the case with the reference
  std::function<Work(const Case&, Device)> prepare;
  std::function<Cost(const Case&, Device)> cost;   // per call
  std::function<std::int64_t(const Case&)> steps;  // per call
};

/// Adds an operation, whose benchmarks main() registers. Returns true, for a variable at namespace scope.
bool add_operation(Operation operation);

/// Returns the operations that were added.
const std::vector<Operation>& operations();

/// Registers the operation of that name, or all for an empty name, with Google Benchmark. Returns false for
/// an unknown name. Each case is checked before it is timed. A case that fails is not timed and makes
/// failures() true. Cold benchmarks evict everything from the caches before each call.
bool register_operations(const std::string& name);
void register_copies();

/// Overrides the tolerance of all checks.
void set_tolerance(double tolerance);

/// Whether a check has failed.
bool failures();

/// The CPU with the library's default number of threads, and a GPU if there is one.
std::vector<Device> devices();
std::string to_string(DeviceKind kind);

}  // namespace plasticity::bench
