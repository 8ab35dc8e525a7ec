#pragma once

#include "plasticity/require_cxx20.hpp"  // first

#include <cstdint>

#include "plasticity/arguments.hpp"
#include "plasticity/config.h"

/// The reference implementation: the equations as plain loops. It is slow and stores every quantity of every
/// step. It shares the argument structs with the other implementations but no arithmetic, so tests compare
/// them with it. `Real` is float, double or std::complex<double>. The complex type computes derivatives of
/// forward by the complex step, Imag f(x + ih) / h; comparisons then use the real part.
namespace plasticity::reference {

/// Runs T = `steps` steps with B = `batch`. The arguments are those of Plan::forward, in host memory.
/// Allocates about T P N numbers of type Real. Outputs must not overlap other tensors, which is not checked.
/// Throws Error(invalid_spec | invalid_argument) for a spec or any other argument that Plan rejects too.
template <class Real>
PLASTICITY_API void forward(const Spec& spec, std::int64_t steps, std::int64_t batch,
                            const ForwardArgs<Real>& args);

/// Computes the exact gradients of forward. The arguments are those of Plan::backward, in host memory. Runs
/// the forward pass again, so it needs args.initial_state. Throws as forward().
template <class Real>
PLASTICITY_API void backward(const Spec& spec, std::int64_t steps, std::int64_t batch,
                             const BackwardArgs<Real>& args);

}  // namespace plasticity::reference
