// The forward kernels of the form soft.
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Form::soft>;
