// The replay kernels of the form linear.
#include "replay/launch.cuh"

template struct plasticity::cuda::ReplayKernels<plasticity::Form::linear>;
