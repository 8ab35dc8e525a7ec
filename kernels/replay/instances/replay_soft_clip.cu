// The replay kernels of the rule soft_clip.
#include "replay/launch.cuh"
#include "rules/soft_clip.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::soft_clip>;
