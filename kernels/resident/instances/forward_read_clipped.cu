// The resident forward kernels of the form read_clipped.
#include "resident/forward_launch.cuh"

template struct plasticity::cuda::ResidentForwardKernels<plasticity::Form::read_clipped>;
