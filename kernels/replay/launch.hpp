#pragma once

#include <cuda_runtime_api.h>

#include "step/params.hpp"

namespace plasticity::cuda {

/// ᾱ per connection, from a recorded forward pass and ā of all its steps.
struct Replay {
  Problem problem;
  Record record;
  const float* da;  // [T,B,width] ā; the plastic gate's columns begin at da_column
  std::int64_t width, da_column;
  std::int64_t groups;  // of batch elements; each is summed apart
  float* partial;       // [groups,P,N] out
};

/// K steps between two checkpoints, whose traces backward needs again.
struct Segment {
  Problem problem;
  Record record;              // the tape
  std::int64_t first;         // the checkpoint's step, a multiple of K
  float *hebb, *eligibility;  // [K,B,P,N] out: the traces before step first, first + 1, …
};

/// The replay kernels of a rule, instantiated in replay/instances/replay_RULE.cu.
template <Rule rule>
struct ReplayKernels {
  static void launch_segment(const Segment& segment, cudaStream_t stream);
  static void launch_replay(const Replay& replay, bool bf16, cudaStream_t stream);
};

/// Blocks of a launch.
std::int64_t segment_blocks(std::int64_t B, std::int64_t N, std::int64_t P);

/// How many groups keep the device busy; it bounds the memory of `partial`.
std::int64_t replay_groups(std::int64_t B, std::int64_t N, std::int64_t P);

/// Blocks of a launch.
std::int64_t replay_blocks(std::int64_t groups, std::int64_t N, std::int64_t P);

/// After launch_replay: adds the groups' sums to `alpha` [P,N].
void launch_add_groups(const Replay& replay, float* alpha, cudaStream_t stream);

}  // namespace plasticity::cuda
