// The resident backward kernels of the rule decay.
#include "resident/backward_launch.cuh"
#include "rules/decay.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::decay>;
