// The replay kernels of the rule decay.
#include "replay/launch.cuh"
#include "rules/decay.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::decay>;
