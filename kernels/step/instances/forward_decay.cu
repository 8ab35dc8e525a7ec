// The forward kernels of the rule decay.
#include "rules/decay.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::decay>;
