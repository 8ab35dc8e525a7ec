// The resident kernels of the rule oja.
#include "resident/launch.cuh"
#include "rules/oja.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::oja>;
