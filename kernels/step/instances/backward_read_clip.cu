// The backward kernels of the rule read_clip.
#include "rules/read_clip.hpp"
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Rule::read_clip>;
