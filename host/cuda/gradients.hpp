#pragma once

#include "cuda/memory.hpp"

namespace plasticity::cuda {

/// What is left after the steps of backward: the sums over all steps and batch elements.
struct CudaPlan::ParameterGradients {
  const Spec& spec;
  const BackwardArgs<float>& args;
  const BackwardStep& step;
  const BackwardMemory& memory;
  cudaStream_t stream;

  void add_weights() const;         // W, W_gates, W_in: one product each over all T B
  void add_alpha(bool bf16) const;  // from the sums of the steps, or per connection by a replay
  void add_vectors() const;         // b, η, the modulator, the fan-out
  void write_inputs() const;        // x, u

 private:
  /// What stands on the left of a weight's product, [rows, T B], and which steps count.
  struct Left {
    Matrix matrix;
    std::int64_t rows;
    const std::uint8_t* reset;
  };
  void add_product(const Left& left, std::int64_t first_column, std::int64_t columns, std::int64_t parts,
                   float* sums, std::int64_t stride) const;
};

}  // namespace plasticity::cuda
