#pragma once

#include <functional>
#include <string>

#include "cost.hpp"
#include "problem.hpp"

// Every operation is a benchmark for each case, device and state of the cache:
// OPERATION/GROUP/CASE/CONTENDER/DEVICE/CACHE,
// "forward/experiments/rnn_decay_N256_B32_T30/plasticity/cpu/warm".
namespace plasticity::bench {

/// What is timed: made from a case by a contender, called again and again; done when it returns.
using Work = std::function<void()>;

struct Operation {
  std::string name;       // "forward"
  std::string contender;  // "plasticity", or a baseline
  std::function<bool(const Case&, Device)> applies;
  std::function<Check(const Case&, Device)> check;  // a few steps of the case, against the reference
  std::function<Work(const Case&, Device)> prepare;
  std::function<Cost(const Case&, Device)> cost;   // of one call
  std::function<std::int64_t(const Case&)> steps;  // of one call
};

/// Names an operation; main() registers its benchmarks. Gives true, for a variable at namespace scope.
bool add_operation(Operation operation);

/// The operations that were added.
const std::vector<Operation>& operations();

/// As Google Benchmark registers: before a case is timed it is checked, and one that fails is not timed and
/// makes failures() true. Cold benchmarks push everything out of the caches before every call.
bool register_operations(const std::string& name);  // of that name, or all; false: there is none
void register_copies();

/// What every check may be off by, instead of its own tolerance.
void set_tolerance(double tolerance);

/// Whether a check has failed.
bool failures();

/// The CPU with the library's own number of threads, and a GPU where there is one.
std::vector<Device> devices();
std::string to_string(DeviceKind kind);

}  // namespace plasticity::bench
