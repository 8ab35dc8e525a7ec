// The backward kernels of the form soft.
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Form::soft>;
