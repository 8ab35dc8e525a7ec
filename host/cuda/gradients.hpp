#pragma once

#include "cuda/memory.hpp"

namespace plasticity::cuda {

/// The gradients of the parameters and inputs: sums over all steps and batch elements, after the backward
/// steps.
struct CudaPlan::ParameterGradients {
  const Spec& spec;
  const RuleKernels& kernels;
  const BackwardArgs<float>& args;
  const BackwardStep& step;
  const BackwardMemory& memory;
  BlasHandle& handle;
  cudaStream_t stream;

  void add_weights() const;  // W, W_gates, W_in: products over all T B rows
  /// Per connection by a replay, else from the sums of the steps. `tape`: how the replay reads it.
  void add_alpha(const Variant& tape) const;
  void add_vectors() const;   // b, η, the modulator, the fan-out
  void write_inputs() const;  // x, u

 private:
  /// The left operand of a weight's product. `reset`: [T,B] masks rows, or null.
  struct Lhs {
    const float* rows;  // [T B,width]
    std::int64_t width;
    const std::uint8_t* reset;
  };
  /// The rows of `lhs`, or a copy with zeros in masked rows if there are masks.
  const float* masked_lhs(const Lhs& lhs) const;
  /// sums [lhs.width,columns] += rowsᵀ ā, for the columns of ā from `first` on.
  void add_product(const Blas& blas, const Lhs& lhs, const float* rows, std::int64_t first,
                   std::int64_t columns, float* sums, std::int64_t stride) const;
};

}  // namespace plasticity::cuda
