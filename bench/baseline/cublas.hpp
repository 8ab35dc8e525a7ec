#pragma once

#include <cstdint>
#include <memory>
#include <plasticity/arguments.hpp>

namespace plasticity::bench::baseline {

/// The GPU baseline: cuBLAS for products, elementwise kernels for all else, on the default stream. Arguments
/// point to device memory.
class CublasSequence {
 public:
  /// Allocates its memory on the current device. Throws Error.
  CublasSequence(const Spec& spec, std::int64_t steps, std::int64_t batch);
  ~CublasSequence();
  void forward(const ForwardArgs<float>& args);
  void backward(const BackwardArgs<float>& args);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace plasticity::bench::baseline
