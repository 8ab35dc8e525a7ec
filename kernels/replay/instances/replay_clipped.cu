// The replay kernels of the form clipped.
#include "replay/launch.cuh"

template struct plasticity::cuda::ReplayKernels<plasticity::Form::clipped>;
