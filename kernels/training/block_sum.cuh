// A sum over the threads of a block, always in the same order.
#pragma once

#include "common/launch.hpp"

namespace plasticity::cuda {

constexpr int sum_threads = 256;

/// `words` has one place for each of the sum_threads threads, and is used for nothing else. Every thread gets
/// the sum.
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
