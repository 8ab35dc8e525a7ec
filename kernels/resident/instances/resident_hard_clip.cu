// The resident kernels of the rule hard_clip.
#include "resident/launch.cuh"
#include "rules/hard_clip.hpp"

template struct plasticity::cuda::ResidentKernels<plasticity::Rule::hard_clip>;
