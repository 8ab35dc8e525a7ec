// The launches of a form's forward kernels. Included by the instantiation files (step/instances).
#pragma once

#include "rules/dispatch.hpp"
#include "step/flush.cuh"
#include "step/forward.cuh"
#include "step/grid.hpp"

namespace plasticity::cuda {

template <Form form>
void ForwardKernels<form>::launch_step(const ForwardStep& step, bool wide, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(step.params.eligibility, [&]<Eligibility kind> {
    return wide ? forward_kernel<form, kind, wide_columns> : forward_kernel<form, kind, 1>;
  });
  launch(kernel,
         {.grid = step_blocks(step.params, step.elements),
          .block = block_threads,
          .shared_bytes = forward_shared(step.params.eligibility, wide),
          .stream = stream},
         with_places(step));
}

template <Form form>
void ForwardKernels<form>::launch_flush(const Flush& flush, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(flush.params.eligibility,
                                           [&]<Eligibility kind> { return flush_kernel<form, kind>; });
  launch(kernel, {.grid = step_blocks(flush.params, 1), .block = block_threads, .stream = stream}, flush);
}

}  // namespace plasticity::cuda
