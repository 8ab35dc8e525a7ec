// The forward kernels of the form read_clipped.
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Form::read_clipped>;
