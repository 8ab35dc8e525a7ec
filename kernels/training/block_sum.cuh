// A sum over the threads of a block, always in the same order.
#pragma once

#include "common/launch.hpp"

namespace plasticity::cuda {

constexpr int sum_threads = 256;

/// Returns the sum to every thread. `words`: shared memory, one element per thread, not used for anything
/// else.
template <class T>
__device__ T block_sum(T value, T* words) {
  const int thread = static_cast<int>(threadIdx.x);
  words[thread] = value;
  __syncthreads();
  for (int half = sum_threads / 2; half > 0; half /= 2) {
    if (thread < half) words[thread] += words[thread + half];
    __syncthreads();
  }
  return words[0];
}

}  // namespace plasticity::cuda
