// The resident backward kernels of the form read_clipped.
#include "resident/backward_launch.cuh"

template struct plasticity::cuda::ResidentBackwardKernels<plasticity::Form::read_clipped>;
