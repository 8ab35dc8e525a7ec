// The replay kernels of the rule additive.
#include "replay/launch.cuh"
#include "rules/additive.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::additive>;
