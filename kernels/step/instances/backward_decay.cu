// The backward kernels of the rule decay.
#include "rules/decay.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::decay>;
