// The resident forward kernels of the form soft.
#include "resident/forward_launch.cuh"

template struct plasticity::cuda::ResidentForwardKernels<plasticity::Form::soft>;
