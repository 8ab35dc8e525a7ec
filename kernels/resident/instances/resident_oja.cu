// The resident backward kernels of the rule oja.
#include "resident/backward_launch.cuh"
#include "rules/oja.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::oja>;
