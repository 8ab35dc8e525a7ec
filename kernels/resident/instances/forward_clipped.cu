// The resident forward kernels of the form clipped.
#include "resident/forward_launch.cuh"

template struct plasticity::cuda::ResidentForwardKernels<plasticity::Form::clipped>;
