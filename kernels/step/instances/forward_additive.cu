// The forward kernels of the rule additive.
#include "rules/additive.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::additive>;
