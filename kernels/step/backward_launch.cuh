// The launch of a form's backward kernels. Included by the instantiation files (step/instances).
#pragma once

#include "rules/dispatch.hpp"
#include "step/backward.cuh"
#include "step/grid.hpp"

namespace plasticity::cuda {

template <Form form>
void BackwardKernels<form>::launch_step(const BackwardStep& step, Variant variant, cudaStream_t stream) {
  const auto kernel = dispatch_eligibility(step.params.eligibility, [&]<Eligibility kind> {
    if (variant.bf16) {
      return variant.wide ? backward_kernel<form, kind, __nv_bfloat16, wide_columns>
                          : backward_kernel<form, kind, __nv_bfloat16, 1>;
    }
    return variant.wide ? backward_kernel<form, kind, float, wide_columns>
                        : backward_kernel<form, kind, float, 1>;
  });
  BackwardStep complete = step;
  complete.all_regular = all_regular(step.params, step.t);
  launch(kernel,
         {.grid = step_blocks(step.params, step.elements),
          .block = block_threads,
          .shared_bytes = backward_shared(step.params.eligibility, variant),
          .stream = stream},
         complete);
}

}  // namespace plasticity::cuda
