// The resident backward kernels of the rule hard_clip.
#include "resident/backward_launch.cuh"
#include "rules/hard_clip.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::hard_clip>;
