// The launches of a form's replay kernels. Included by the instantiation files (replay/instances).
#pragma once

#include "replay/replay.cuh"
#include "replay/segment.cuh"
#include "rules/dispatch.hpp"

namespace plasticity::cuda {

template <Form form>
void ReplayKernels<form>::launch_replay(const Replay& replay, Variant variant, cudaStream_t stream) {
  const StepParams& p = replay.params;
  const auto kernel = dispatch_eligibility(p.eligibility, [&]<Eligibility kind> {
    if (variant.bf16) {
      return variant.wide ? replay_kernel<form, kind, __nv_bfloat16, wide_columns>
                          : replay_kernel<form, kind, __nv_bfloat16, 1>;
    }
    return variant.wide ? replay_kernel<form, kind, float, wide_columns>
                        : replay_kernel<form, kind, float, 1>;
  });
  launch(kernel,
         {.grid = static_cast<unsigned>(replay_blocks(replay.groups, p.N, p.P)),
          .block = block_threads,
          .stream = stream},
         replay);
}

template <Form form>
void ReplayKernels<form>::launch_segment(const Segment& segment, bool wide, cudaStream_t stream) {
  const StepParams& p = segment.params;
  const auto kernel = dispatch_eligibility(p.eligibility, [&]<Eligibility kind> {
    return wide ? segment_kernel<form, kind, wide_columns> : segment_kernel<form, kind, 1>;
  });
  launch(kernel,
         {.grid = static_cast<unsigned>(segment_blocks(p.B, p.N, p.P)),
          .block = block_threads,
          .stream = stream},
         segment);
}

}  // namespace plasticity::cuda
