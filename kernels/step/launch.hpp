#pragma once

#include <cuda_runtime_api.h>

#include "plasticity/spec.hpp"
#include "step/params.hpp"

// The step kernels as host functions: each puts one launch on the stream. They throw plasticity::Error where
// CUDA refuses a launch.
namespace plasticity::cuda {

/// cudaSuccess where the build has kernels for the current device.
cudaError_t probe_kernels();

/// How backward reads the traces on the tape: bfloat16 or float; 16 bytes at a time, which needs N to be a
/// multiple of 8 or 4 and every matrix aligned to 16 bytes, or element by element.
struct Variant {
  bool bf16;
  bool wide;
};

/// Columns that a thread handles together under a variant.
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

/// After ForwardKernels::launch_step of a live step whose rate or output needs all columns: softmax,
/// modulator.
void launch_live_finish(const ForwardStep& step, cudaStream_t stream);

/// After the last BackwardKernels::launch_step: the gradients of what came before step 0.
void launch_backward_finish(const BackwardStep& step, cudaStream_t stream);

}  // namespace plasticity::cuda
