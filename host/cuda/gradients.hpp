#pragma once

#include "cuda/memory.hpp"

namespace plasticity::cuda {

/// What is left after the steps of backward: the sums over all steps and batch elements.
struct CudaPlan::ParameterGradients {
  const Spec& spec;
  const BackwardArgs<float>& args;
  const BackwardStep& step;
  const BackwardMemory& memory;
  BlasHandle& handle;
  cudaStream_t stream;

  void add_weights() const;         // W, W_gates, W_in: products over all T B
  void add_alpha(bool bf16) const;  // from the sums of the steps, or per connection by a replay
  void add_vectors() const;         // b, η, the modulator, the fan-out
  void write_inputs() const;        // x, u

 private:
  /// What stands on the left of a weight's product, and which of its rows count.
  struct Left {
    const float* rows;  // [T B,width]
    std::int64_t width;
    const std::uint8_t* reset;
  };
  /// `left` itself, or where masks leave rows out a copy with zeros there.
  const float* counted(const Left& left) const;
  /// sums [left.width,columns] += leftᵀ ā, of the columns of ā from `first` on.
  void add_product(const Blas& blas, const Left& left, const float* rows, std::int64_t first,
                   std::int64_t columns, float* sums, std::int64_t stride) const;
  void add_columns(const float* values, std::int64_t rows, std::int64_t columns, float* sums) const;
};

}  // namespace plasticity::cuda
