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

// One instance a rule, each in a source file of its own (see cmake/StepKernels.cmake).
template <Rule rule>
void launch_forward(const ForwardStep& step, bool wide, cudaStream_t stream);
template <Rule rule>
void launch_flush(const Flush& flush, cudaStream_t stream);
template <Rule rule>
void launch_backward(const BackwardStep& step, Variant variant, cudaStream_t stream);

void launch_load(const Load& load, cudaStream_t stream);

/// After launch_forward of a live step whose rate or output needs all columns: softmax, modulator.
void launch_live_finish(const ForwardStep& step, cudaStream_t stream);

/// After the last launch_backward: the gradients of what came before step 0.
void launch_backward_finish(const BackwardStep& step, cudaStream_t stream);

}  // namespace plasticity::cuda
