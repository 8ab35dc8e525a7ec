// Replaying the traces from the recorded activity: the gradient of α per connection, and segments between
// checkpoints.
#pragma once

#include <cuda_runtime_api.h>

#include "step/launch.hpp"
#include "step/params.hpp"
#include "step/tuning.hpp"

namespace plasticity::cuda {

constexpr int replay_tile_rows = 64;                                                   // per block
constexpr int replayed_connections = replay_tile_rows * tile_columns / block_threads;  // per thread

/// ᾱ per connection, from a recorded forward pass and ā of all its steps.
struct Replay {
  StepParams params;
  Record record;
  const float* da;  // [T,B,width] ā; the plastic gate's columns begin at da_column
  std::int64_t width, da_column;
  std::int64_t groups;  // of batch elements; each group has its own sum
  float* partial;       // [groups,P,N] out
};

/// K steps between two checkpoints, whose traces backward reads.
struct Segment {
  StepParams params;
  Record record;              // the tape
  std::int64_t first;         // the checkpoint's step, a multiple of K
  float *hebb, *eligibility;  // [K,B,P,N] out: the traces before step first, first + 1, …
};

/// The replay kernels of a form, instantiated in replay/instances/replay_FORM.cu. `wide`: as in Variant, for
/// matrices that the plan owns.
template <Form form>
struct ReplayKernels {
  static void launch_segment(const Segment& segment, bool wide, cudaStream_t stream);
  static void launch_replay(const Replay& replay, Variant variant, cudaStream_t stream);
};

/// Adds the groups' sums to `alpha` [P,N], in order. Launch after launch_replay.
void launch_add_groups(const Replay& replay, float* alpha, cudaStream_t stream);

/// The number of groups that keep the device busy. Bounds the memory of `partial`.
std::int64_t replay_groups(std::int64_t B, std::int64_t N, std::int64_t P);

/// Blocks per launch.
std::int64_t replay_blocks(std::int64_t groups, std::int64_t N, std::int64_t P);
std::int64_t segment_blocks(std::int64_t B, std::int64_t N, std::int64_t P);

}  // namespace plasticity::cuda
