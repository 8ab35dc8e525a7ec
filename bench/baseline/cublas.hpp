#pragma once

#include <cstdint>
#include <memory>
#include <plasticity/arguments.hpp>

namespace plasticity::bench::baseline {

/// What one would write for a GPU without the library: products by cuBLAS, all else a kernel that runs a
/// function of each element, on the default stream. Arguments point to the device's memory.
class CublasSequence {
 public:
  /// On the current device; allocates what it needs there. Throws Error.
  CublasSequence(const Spec& spec, std::int64_t steps, std::int64_t batch);
  ~CublasSequence();
  void forward(const ForwardArgs<float>& args);
  void backward(const BackwardArgs<float>& args);

 private:
  struct Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace plasticity::bench::baseline
