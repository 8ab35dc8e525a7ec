// The resident backward kernels of the form soft.
#include "resident/backward_launch.cuh"

template struct plasticity::cuda::ResidentBackwardKernels<plasticity::Form::soft>;
