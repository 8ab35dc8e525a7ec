#pragma once

#include <cstdint>
#include <string>

#include "plasticity/plan.hpp"
#include "resident/shape.hpp"

// Chooses the kernels that run a sequence, and the layout of an element over blocks. The choice depends only
// on the sizes and the device's limits, so it is tested without a GPU.
//
// B and T never influence a choice between kernels whose results differ in bits. A sample therefore has the
// same bits alone and in a batch, and windows match the whole sequence.
namespace plasticity::cuda {

/// The properties of a device that the planner uses.
struct DeviceLimits {
  int multiprocessors = 0;
  std::int64_t shared_bytes = 0;  ///< per block at most (cudaDevAttrMaxSharedMemoryPerBlockOptin)
  int cluster_blocks = 0;         ///< per cluster at most, 16 (more than 8 need an attribute); 0: no clusters
  bool cooperative = false;

  static DeviceLimits of_device(int index);
};

struct Sizes {
  std::int64_t B, T;
};

/// The chosen execution, its launch shape, and why each preferred alternative was rejected.
struct ExecutionChoice {
  Execution execution = Execution::step;
  GroupShape shape{};       ///< for cta, cluster and grid
  GroupShape backward{};    ///< the same groups; on a bfloat16 tape another part of a thread
  std::int64_t groups = 0;  ///< elements in progress at once, for cta, cluster and grid
  std::int64_t forward_bytes = 0, backward_bytes = 0;  ///< of shared memory per block
  std::string reasons;                                 ///< "cta: …; cluster: …"

  bool resident() const { return execution != Execution::step && execution != Execution::graph; }
};

NetworkTraits network_traits(const Spec& spec);

/// Returns the preferred execution that fits, or `wanted` if that is not automatic. Throws Error(unsupported)
/// that names options.execution and the reason if `wanted` does not fit.
ExecutionChoice choose_execution(const Spec& spec, Sizes sizes, const DeviceLimits& limits, Execution wanted);

/// The part of a thread that backward uses on a bfloat16 tape, in the same groups of blocks.
GroupShape on_bf16_tape(const Spec& spec, const GroupShape& shape);

/// One line: "cluster: 4 blocks of 50 columns and 512 threads per element, 30 elements at once, w on chip,
/// …".
std::string describe(const ExecutionChoice& choice);

}  // namespace plasticity::cuda
