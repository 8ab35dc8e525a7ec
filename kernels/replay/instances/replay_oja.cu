// The replay kernels of the rule oja.
#include "replay/launch.cuh"
#include "rules/oja.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::oja>;
