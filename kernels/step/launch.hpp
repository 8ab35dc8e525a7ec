// The launches of the step kernels. Each puts one kernel on the stream and throws plasticity::Error if CUDA
// rejects it.
#pragma once

#include <cuda_runtime_api.h>

#include "plasticity/spec.hpp"
#include "step/params.hpp"

namespace plasticity::cuda {

/// cudaSuccess if this build has kernels for the current device.
cudaError_t probe_kernels();

/// How backward reads the traces on a tape. `bf16`: bfloat16, else float. `wide`: 16 bytes at a time, which
/// requires that N is a multiple of 8 (bf16) or 4 and every matrix is aligned to 16 bytes; else one element
/// at a time.
struct Variant {
  bool bf16;
  bool wide;
};

constexpr int columns_per_thread(Variant variant) { return variant.wide ? (variant.bf16 ? 8 : 4) : 1; }

/// The forward kernels of a rule, instantiated in step/instances/forward_RULE.cu. `wide`: forward_columns
/// columns per thread, else one.
template <Rule rule>
struct ForwardKernels {
  static void launch_step(const ForwardStep& step, bool wide, cudaStream_t stream);
  static void launch_flush(const Flush& flush, cudaStream_t stream);
};

/// The backward kernels of a rule, instantiated in step/instances/backward_RULE.cu.
template <Rule rule>
struct BackwardKernels {
  static void launch_step(const BackwardStep& step, Variant variant, cudaStream_t stream);
};

void launch_load(const Load& load, cudaStream_t stream);

/// Launch after ForwardKernels::launch_step in Plan::step if the rate or the output depends on all columns
/// (modulator, softmax).
void launch_finish_step(const ForwardStep& step, cudaStream_t stream);

/// Launch after the last BackwardKernels::launch_step: writes the gradients of the state before step 0.
void launch_finish_backward(const BackwardStep& step, cudaStream_t stream);

}  // namespace plasticity::cuda
