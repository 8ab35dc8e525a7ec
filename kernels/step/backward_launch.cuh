// The launch of a rule's backward kernels. Included by the instantiation files (step/instances).
#pragma once

#include "rules/dispatch.hpp"
#include "step/backward.cuh"
#include "step/grid.hpp"

namespace plasticity::cuda {

template <Rule rule>
void BackwardKernels<rule>::launch_step(const BackwardStep& step, Variant variant, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(step.params.eligibility, [&]<Eligibility kind> {
    if (variant.bf16) {
      return variant.wide ? backward_kernel<rule, kind, __nv_bfloat16, 8>
                          : backward_kernel<rule, kind, __nv_bfloat16, 1>;
    }
    return variant.wide ? backward_kernel<rule, kind, float, 4> : backward_kernel<rule, kind, float, 1>;
  });
  launch(kernel, {.grid = step_blocks(step.params), .block = block_threads, .stream = stream}, step);
}

}  // namespace plasticity::cuda
