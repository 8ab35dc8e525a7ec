// The lanes of a warp, and the tree that joins their values.
#pragma once

#include "common/launch.hpp"

namespace plasticity::cuda {

constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline int lane_id() { return static_cast<int>(threadIdx.x % 32); }
__device__ inline int warp_id() { return static_cast<int>(threadIdx.x / 32); }

/// The same by other expressions. The compiler keeps the value of an expression in a register from one use to
/// the next; across a long pass that register is better used otherwise.
__device__ inline int lane_again() { return static_cast<int>(threadIdx.x) % 32; }
__device__ inline int warp_again() { return static_cast<int>(threadIdx.x) / 32; }

struct Add {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Max {
  __device__ float operator()(float a, float b) const { return b > a ? b : a; }
};

/// The tree over a warp's values, one per lane: for d in 16, 8, 4, 2, 1: s[c] = join(s[c], s[c + d]). Each
/// thread has the result.
template <class T, class Join>
__device__ __forceinline__ T join_lanes(T value, Join join) {
#pragma unroll
  for (int d = 16; d > 0; d /= 2) value = join(value, __shfl_xor_sync(all_lanes, value, d));
  return value;
}

}  // namespace plasticity::cuda
