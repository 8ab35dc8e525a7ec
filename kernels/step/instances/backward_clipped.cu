// The backward kernels of the form clipped.
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Form::clipped>;
