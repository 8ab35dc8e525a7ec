#pragma once

#include <cstdint>
#include <string>

#include "plasticity/plan.hpp"
#include "resident/shape.hpp"

// Which kernels run a sequence, and how an element is laid out over blocks: worked out from the sizes and the
// device's limits alone, so that it is tested without a GPU.
//
// The choice between kernels that give different bits does not look at B or T: a sample has the same bits
// alone and in any batch, and windows those of the whole.
namespace plasticity::cuda {

/// What a device can do, as far as the planner asks.
struct DeviceLimits {
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  ///< of a block, after asking (cudaDevAttrMaxSharedMemoryPerBlockOptin)
  int cluster_blocks = 0;         ///< of a cluster at most: 16, of which 8 without asking; 0: no clusters
  bool cooperative = false;

  static DeviceLimits of_device(int index);
};

struct Sizes {
  std::int64_t B, T;
};

/// A choice, with the reasons against what would have come before it.
struct ExecutionChoice {
  Execution execution = Execution::step;
  GroupShape shape{};       ///< of cta, cluster and grid
  std::int64_t groups = 0;  ///< elements under way at once, of cta, cluster and grid
  std::int64_t forward_bytes = 0, backward_bytes = 0;  ///< of shared memory a block
  std::string reasons;                                 ///< "cta: …; cluster: …"

  bool resident() const { return execution != Execution::step && execution != Execution::graph; }
};

NetworkTraits network_traits(const Spec& spec);

/// What serves best, or the execution that is `wanted`. Throws Error(unsupported) that names
/// options.execution, with the reason, where what is wanted does not fit.
ExecutionChoice choose_execution(const Spec& spec, Sizes sizes, const DeviceLimits& limits, Execution wanted);

/// One line: "cluster: 4 blocks of 50 columns and 512 threads an element, 30 elements at once, w on chip, …".
std::string describe(const ExecutionChoice& choice);

}  // namespace plasticity::cuda
