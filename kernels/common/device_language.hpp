// The parts of CUDA C++ that kernels use through macros, for nvcc. The executor of the tests has its own
// version of this header (tests/simt/shadow), which its include path finds first.
#pragma once

#if !defined(__CUDACC__)
#error "kernels are compiled by nvcc, or for the executor with tests/simt/shadow first in the include path"
#endif

#define PLASTICITY_SHARED(Type, name, ...) __shared__ Type name __VA_ARGS__
#define PLASTICITY_DYNAMIC_SHARED(Type, name)                                  \
  extern __shared__ __align__(128) unsigned char plasticity_dynamic_shared_[]; \
  Type* const name = reinterpret_cast<Type*>(plasticity_dynamic_shared_)

namespace plasticity {

/// The executor needs a kernel's parameter types before a launch. CUDA does not.
template <class... Parameters>
void register_kernel(void (*)(Parameters...)) {}

}  // namespace plasticity
