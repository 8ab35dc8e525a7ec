// The forward kernels of the rule oja.
#include "rules/oja.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::oja>;
