// The replay kernels of the form soft.
#include "replay/launch.cuh"

template struct plasticity::cuda::ReplayKernels<plasticity::Form::soft>;
