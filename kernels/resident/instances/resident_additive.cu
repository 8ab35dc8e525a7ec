// The resident backward kernels of the rule additive.
#include "resident/backward_launch.cuh"
#include "rules/additive.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::additive>;
