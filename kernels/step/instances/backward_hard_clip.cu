// The backward kernels of the rule hard_clip.
#include "rules/hard_clip.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::hard_clip>;
