// The replay kernels of the form read_clipped.
#include "replay/launch.cuh"

template struct plasticity::cuda::ReplayKernels<plasticity::Form::read_clipped>;
