// The backward kernels of the form read_clipped.
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Form::read_clipped>;
