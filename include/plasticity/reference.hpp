#pragma once

#include <cstdint>

#include "plasticity/arguments.hpp"
#include "plasticity/config.h"

/// The oracle: the equations as plain loops, slow, with every quantity of every step kept. It shares the
/// argument structs with the library and no code, so that it can check it. `Real` is float, double or
/// std::complex<double>; the last one gives derivatives of forward by the complex step, Imag f(x + ih) / h
/// (comparisons look at the real part).
namespace plasticity::reference {

/// Runs `steps` steps for a batch of `batch`. Arguments as for Plan::forward; memory is about T P N of Real.
/// Throws Error(invalid_spec | invalid_argument) for a spec or argument that Plan would refuse too.
template <class Real>
PLASTICITY_API void forward(const Spec& spec, std::int64_t steps, std::int64_t batch,
                            const ForwardArgs<Real>& args);

/// The exact gradients of forward. Arguments as for Plan::backward; the forward pass is run again inside.
template <class Real>
PLASTICITY_API void backward(const Spec& spec, std::int64_t steps, std::int64_t batch,
                             const BackwardArgs<Real>& args);

}  // namespace plasticity::reference
