// The resident kernels of the rule additive.
#include "resident/launch.cuh"
#include "rules/additive.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::additive>;
