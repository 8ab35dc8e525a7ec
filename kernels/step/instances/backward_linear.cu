// The backward kernels of the form linear.
#include "step/backward_launch.cuh"

template struct plasticity::cuda::BackwardKernels<plasticity::Form::linear>;
