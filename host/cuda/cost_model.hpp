#pragma once

#include <array>
#include <cstdint>

#include "cuda/device_constants.hpp"
#include "cuda/instruction_counts.hpp"
#include "plasticity/spec.hpp"
#include "resident/shape.hpp"

// Estimates µs per step of every way to run a sequence, from counts (instructions, bytes, barriers, launches,
// waves) and the constants of a device. It is a calculation on the host, which needs no GPU.
namespace plasticity::cuda {

/// The properties of a device that the planner uses.
struct DeviceLimits {
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  ///< per block at most (cudaDevAttrMaxSharedMemoryPerBlockOptin)
  int cluster_blocks = 0;         ///< per cluster at most, 16 (more than 8 need an attribute); 0: no clusters
  bool cooperative = false;
  std::int64_t l2_bytes = 50 << 20;
  std::int64_t memory_bytes = 0;  ///< of the device
  double memory_rate = 3.35e6;    ///< bytes per µs, by the memory's clock and the width of its bus
  /// Clusters of 2, 4, 8 and 16 blocks at once if a block fills a multiprocessor. A cluster lies in one part
  /// of the device, so fewer can run than the multiprocessors have room for. 0: not known.
  std::array<int, 4> clusters{};

  static DeviceLimits of_device(int index);
};

/// The sizes of a plan.
struct Sizes {
  std::int64_t B, T;
  bool bf16 = false;  ///< the tape is rounded
};

/// µs per step of the whole batch. Launches and loads per sequence are divided by T. Not counted: the
/// products before and after the steps, which all executions share.
struct Estimate {
  double forward = 0, backward = 0;

  double total() const { return forward + backward; }
};

/// A resident execution: its groups of blocks, and the shared memory per block in each direction.
struct ResidentShape {
  GroupShape group;
  std::int64_t forward_bytes, backward_bytes;

  /// The columns and the part of a thread determine the rest.
  bool operator==(const ResidentShape& other) const {
    return group.kind == other.group.kind && group.columns == other.group.columns &&
           group.thread == other.group.thread && group.sums_alpha == other.group.sums_alpha;
  }
};

class CostModel {
 public:
  CostModel(const Spec& spec, Sizes sizes, const DeviceLimits& limits, const DeviceConstants& constants);

  /// One launch per step, in a stream or in a graph. `K`: the interval between checkpoints.
  Estimate of_steps(bool graph, std::int64_t K) const;
  /// The traces on the tape.
  double tape_bytes(std::int64_t K) const;
  /// One launch per sequence.
  Estimate of_resident(const ResidentShape& shape, std::int64_t K) const;

 private:
  struct Pass;      // of a step kernel
  struct Resident;  // one direction of a resident execution

  double per_sequence(double time) const;  // µs per step of a time per sequence
  bool stays(double bytes) const;          // in L2
  double from_l2(double bytes, double multiprocessors) const;
  double issue(double instructions) const;  // of a pass over all connections
  double from_memory(double bytes) const;
  double modulator() const;
  double step_kernel(const Pass& pass) const;
  double replay_of_alpha() const;
  double replay_of_segments(std::int64_t K) const;
  double clusters_at_once(int blocks) const;  // one block per multiprocessor
  double groups_at_once(const GroupShape& shape, double shared_bytes) const;
  double resident_steps(const Resident& run) const;
  double barrier(const GroupShape& shape) const;
  int columns_per_thread() const;   // of a step kernel
  int elements(bool rounds) const;  // of the batch per block of a step kernel
  double tiles() const;
  double weight_bytes() const;  // per connection: w, alpha and the gates

  const Spec spec_;
  const Sizes sizes_;
  const DeviceLimits limits_;
  const DeviceConstants constants_;
  const InstructionCounts counts_;
  double N_, P_, B_;
  double connections_;  // of the batch
  double traces_;       // 2 with an eligibility trace
  double trace_bytes_;  // of all traces of the batch, once
};

}  // namespace plasticity::cuda
