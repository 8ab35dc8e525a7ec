#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cuda/group_shapes.hpp"
#include "plan/checkpoints.hpp"
#include "plasticity/plan.hpp"

// Chooses the kernels that run a sequence, the layout of an element over blocks, and the interval between
// checkpoints: the candidate with the smallest estimate (cost_model.hpp). The choice depends on the spec, the
// sizes, the device's limits and the constants, so it is tested without a GPU.
//
// In f32, T and B influence the choice, because the results have the same bits in every execution and for
// every interval. A sample therefore has the same bits alone and in a batch, and windows match the whole
// sequence. Two exceptions:
// - The gradient of alpha per connection. Like the gradients of the other parameters it is a sum over samples
//   and steps, whose order depends on B and T. Its order also depends on the execution.
// - An LSTM in blocks of 8 columns rounds gradients differently. `automatic` never chooses such a block.
// In bf16 executions differ more, so T and B decide only between step and graph, which have the same bits.
namespace plasticity::cuda {

struct PlannerOptions {
  Execution wanted = Execution::automatic;
  std::vector<std::int64_t> intervals = {1};  ///< between checkpoints, from which the planner chooses
  bool bits_differ = false;                   ///< between executions: choose as for nominal_sizes
  DeviceConstants constants;
  std::optional<ResidentShape> shape = {};  ///< the only one that a resident execution may have
};

/// The sizes that decide if T and B must not.
constexpr Sizes nominal_sizes{.B = 64, .T = 64};

/// An execution that fits, or one width of its blocks, with the cheapest launch shape.
struct Candidate {
  Execution execution = Execution::step;
  ResidentShape shape{};      ///< for cta, cluster and grid
  std::int64_t interval = 1;  ///< K
  Estimate estimate;

  bool resident() const { return execution != Execution::step && execution != Execution::graph; }
};

/// The estimate of a candidate at its interval.
Estimate estimate_of(const CostModel& model, const Candidate& candidate);

/// All candidates, the chosen one, and why other executions do not fit.
struct ExecutionChoice {
  std::vector<Candidate> candidates;
  std::size_t index = 0;    ///< of the chosen one
  std::int64_t groups = 0;  ///< elements in progress at once, for cta, cluster and grid
  std::string reasons;      ///< "cta: …; cluster: …"

  const Candidate& chosen() const { return candidates[index]; }
  Execution execution() const { return chosen().execution; }
  const GroupShape& shape() const { return chosen().shape.group; }  ///< for cta, cluster and grid
  std::int64_t interval() const { return chosen().interval; }       ///< K
  bool resident() const { return chosen().resident(); }
};

/// The planner's options for a plan. `tape_bytes(K)`: the size of the tape. An interval may be
/// chosen by its time if its tape takes at most 1/16 of the device's memory.
template <class Bytes>
PlannerOptions planner_options(const Spec& spec, const PlanOptions& options, const DeviceLimits& limits,
                               Bytes tape_bytes) {
  constexpr std::int64_t share_of_memory = 16;
  PlannerOptions result{.wanted = options.execution, .constants = current_constants()};
  result.intervals = allowed_checkpoint_intervals(
      spec.rule, options, tape_bytes, static_cast<std::size_t>(limits.memory_bytes / share_of_memory));
  result.bits_differ = options.precision == Precision::bf16;
  return result;
}

/// Returns the candidate with the smallest estimate, of those with the wanted execution if that is not
/// automatic. Throws Error(unsupported) that names options.execution and the reason if that does not fit.
ExecutionChoice choose_execution(const Spec& spec, Sizes sizes, const DeviceLimits& limits,
                                 const PlannerOptions& options);

/// One line: "cluster: 4 blocks of 50 columns and 512 threads per element, 30 elements at once, …".
std::string describe(const ExecutionChoice& choice);

/// "cluster: 4 blocks of 64 columns and 512 threads".
std::string describe_shape(const Candidate& candidate);

/// "cluster: 4 blocks of 64 columns and 512 threads, K=8: 1.1 µs per step forward, 2.4 backward". `chosen`
/// marks the line.
std::string describe(const Candidate& candidate, bool chosen);

/// The lines of all candidates.
std::vector<std::string> describe_candidates(const ExecutionChoice& choice);

}  // namespace plasticity::cuda
