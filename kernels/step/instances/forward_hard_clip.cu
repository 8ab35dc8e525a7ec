// The forward kernels of the rule hard_clip.
#include "rules/hard_clip.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::hard_clip>;
