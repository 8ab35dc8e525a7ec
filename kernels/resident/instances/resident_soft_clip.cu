// The resident backward kernels of the rule soft_clip.
#include "resident/backward_launch.cuh"
#include "rules/soft_clip.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::soft_clip>;
