// The forward kernels of the form linear.
#include "step/forward_launch.cuh"

template struct plasticity::cuda::ForwardKernels<plasticity::Form::linear>;
