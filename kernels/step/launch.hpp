// The launches of the step kernels. Each puts one kernel on the stream and throws plasticity::Error if CUDA
// rejects it.
#pragma once

#include <cuda_runtime_api.h>

#include "plasticity/spec.hpp"
#include "rules/form.hpp"
#include "step/params.hpp"

namespace plasticity::cuda {

/// cudaSuccess if this build has kernels for the current device.
cudaError_t probe_kernels();

/// How backward reads the traces on a tape. `bf16`: bfloat16, else float. `wide`: wide_columns columns per
/// thread, which requires that N is a multiple of them and every matrix is aligned to 16 bytes; else one.
struct Variant {
  bool bf16;
  bool wide;
};

/// Batch elements per block of a step kernel: 2 if a pass takes two at once and enough blocks are left for
/// the device's multiprocessors. The bits do not depend on it.
int elements_per_block(const StepParams& params, bool wide, int multiprocessors);

/// The forward kernels of a form, instantiated in step/instances/forward_FORM.cu. `wide`: as in Variant.
template <Form form>
struct ForwardKernels {
  static void launch_step(const ForwardStep& step, bool wide, cudaStream_t stream);
  static void launch_flush(const Flush& flush, cudaStream_t stream);
};

/// The backward kernels of a form, instantiated in step/instances/backward_FORM.cu.
template <Form form>
struct BackwardKernels {
  static void launch_step(const BackwardStep& step, Variant variant, cudaStream_t stream);
};

void launch_load(const Load& load, cudaStream_t stream);

/// Launch after ForwardKernels::launch_step if the output depends on all columns (softmax); in Plan::step
/// also if the rate does (modulator).
void launch_finish_step(const ForwardStep& step, cudaStream_t stream);

/// Launch after the last BackwardKernels::launch_step: writes the gradients of the state before step 0.
void launch_finish_backward(const BackwardStep& step, cudaStream_t stream);

}  // namespace plasticity::cuda
