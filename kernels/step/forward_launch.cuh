// The launches of a rule's forward kernels. Included by the instantiation files (step/instances).
#pragma once

#include "rules/dispatch.hpp"
#include "step/flush.cuh"
#include "step/forward.cuh"
#include "step/grid.hpp"

namespace plasticity::cuda {

template <Rule rule>
void ForwardKernels<rule>::launch_step(const ForwardStep& step, bool wide, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(step.params.eligibility, [&]<Eligibility kind> {
    return wide ? forward_kernel<rule, kind, forward_columns> : forward_kernel<rule, kind, 1>;
  });
  launch(kernel, {.grid = step_blocks(step.params), .block = block_threads, .stream = stream}, step);
}

template <Rule rule>
void ForwardKernels<rule>::launch_flush(const Flush& flush, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(flush.params.eligibility,
                                           [&]<Eligibility kind> { return flush_kernel<rule, kind>; });
  launch(kernel, {.grid = step_blocks(flush.params), .block = block_threads, .stream = stream}, flush);
}

}  // namespace plasticity::cuda
