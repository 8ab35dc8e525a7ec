// The step kernels of a cell without a plastic part (Granularity::none). They take the parameters of the step
// kernels, without traces, and keep the slots of the same record.
#pragma once

#include "step/launch.hpp"

namespace plasticity::cuda {

/// As ForwardKernels and BackwardKernels. Backward expects zeros in dx_update, dg and dpost.
struct NonplasticKernels {
  static void launch_step(const ForwardStep& step, bool wide, cudaStream_t stream);
  static void launch_flush(const Flush& flush, cudaStream_t stream);
  static void launch_backward_step(const BackwardStep& step, Variant variant, cudaStream_t stream);
};

}  // namespace plasticity::cuda
