// The replay kernels of the rule hard_clip.
#include "replay/launch.cuh"
#include "rules/hard_clip.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::hard_clip>;
