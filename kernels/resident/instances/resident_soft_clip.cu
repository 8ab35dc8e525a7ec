// The resident kernels of the rule soft_clip.
#include "resident/launch.cuh"
#include "rules/soft_clip.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::soft_clip>;
