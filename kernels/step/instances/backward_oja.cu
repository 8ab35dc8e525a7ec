// The backward kernels of the rule oja.
#include "rules/oja.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::oja>;
