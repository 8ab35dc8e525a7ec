// The launches of a rule's replay kernels. Included by the instantiation files (replay/instances).
#pragma once

#include "replay/replay.cuh"
#include "replay/segment.cuh"
#include "rules/dispatch.hpp"

namespace plasticity::cuda {

template <Rule rule>
void ReplayKernels<rule>::launch_replay(const Replay& replay, bool bf16, cudaStream_t stream) {
  const StepParams& p = replay.params;
  const auto kernel = dispatch_eligibility(p.eligibility, [&]<Eligibility kind> {
    return bf16 ? replay_kernel<rule, kind, __nv_bfloat16> : replay_kernel<rule, kind, float>;
  });
  launch(kernel,
         {.grid = static_cast<unsigned>(replay_blocks(replay.groups, p.N, p.P)),
          .block = block_threads,
          .stream = stream},
         replay);
}

template <Rule rule>
void ReplayKernels<rule>::launch_segment(const Segment& segment, cudaStream_t stream) {
  const StepParams& p = segment.params;
  const auto kernel =
      dispatch_eligibility(p.eligibility, [&]<Eligibility kind> { return segment_kernel<rule, kind>; });
  launch(kernel,
         {.grid = static_cast<unsigned>(segment_blocks(p.B, p.N, p.P)),
          .block = block_threads,
          .stream = stream},
         segment);
}

}  // namespace plasticity::cuda
