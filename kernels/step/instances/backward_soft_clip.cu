// The backward kernels of the rule soft_clip.
#include "rules/soft_clip.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::soft_clip>;
