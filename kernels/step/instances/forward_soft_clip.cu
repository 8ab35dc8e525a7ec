// The forward kernels of the rule soft_clip.
#include "rules/soft_clip.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::soft_clip>;
