// The backward kernels of the rule additive.
#include "rules/additive.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::additive>;
