// CUDA C++ as g++ sees it under the executor: built-in variables, shared memory, barriers, warps, atomics,
// cp.async. Kernels get it through kernels/common/launch.hpp, and cooperative groups through the usual
// header's name.
#pragma once

#if defined(__CUDACC__)
#error "simt/device.hpp is for g++; nvcc has the real thing"
#endif

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

// The function qualifiers mean nothing here.
#undef __device__
#undef __global__
#undef __constant__
#undef __grid_constant__
#undef __launch_bounds__
#undef __forceinline__
#define __device__
#define __global__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline

// These mean something that the executor cannot see, so they do not compile.
#undef __shared__
#undef __cluster_dims__
#define __shared__ declare_shared_memory_with_the_two_macros_of_launch_hpp
#define __cluster_dims__(...) give_the_cluster_size_to_launch

#include "simt/device/atomics.hpp"
#include "simt/device/barriers.hpp"
#include "simt/device/kernel.hpp"
#include "simt/device/math.hpp"
#include "simt/device/warps.hpp"
