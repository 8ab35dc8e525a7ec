// The resident kernels of the rule decay.
#include "resident/launch.cuh"
#include "rules/decay.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::decay>;
