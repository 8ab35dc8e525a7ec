// The forward kernels of the form clipped.
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Form::clipped>;
