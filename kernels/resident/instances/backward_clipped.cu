// The resident backward kernels of the form clipped.
#include "resident/backward_launch.cuh"

template struct plasticity::cuda::ResidentBackwardKernels<plasticity::Form::clipped>;
