// The resident backward kernels of the rule read_clip.
#include "resident/backward_launch.cuh"
#include "rules/read_clip.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::read_clip>;
