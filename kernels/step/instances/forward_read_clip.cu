// The forward kernels of the rule read_clip.
#include "rules/read_clip.hpp"
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Rule::read_clip>;
