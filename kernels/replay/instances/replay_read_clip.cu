// The replay kernels of the rule read_clip.
#include "replay/launch.cuh"
#include "rules/read_clip.hpp"

template struct plasticity::cuda::ReplayKernels<plasticity::Rule::read_clip>;
