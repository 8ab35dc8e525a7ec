// The one CUB function of this header that the library calls, as a kernel of one thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/launch.hpp"

namespace cub {

namespace detail {

constexpr std::size_t workspace_bytes = 64;

/// As in CUB: without memory the call only says how much it needs; with too little it fails.
inline bool only_asks(void* workspace, std::size_t& bytes, cudaError_t& error) {
  error = workspace != nullptr && bytes < workspace_bytes ? cudaErrorInvalidValue : cudaSuccess;
  if (workspace == nullptr) bytes = workspace_bytes;
  return workspace == nullptr || error != cudaSuccess;
}

template <class Values>
__global__ void sum_kernel(Values values, float* sum, std::int64_t count) {
  float total = 0;
  for (std::int64_t k = 0; k < count; ++k) total += values[k];
  *sum = total;
}

}  // namespace detail

struct DeviceReduce {
  template <class Values>
  static cudaError_t Sum(void* workspace, std::size_t& bytes, Values values, float* sum, std::int64_t count,
                         cudaStream_t stream) {
    cudaError_t error;
    if (detail::only_asks(workspace, bytes, error)) return error;
    plasticity::launch(detail::sum_kernel<Values>, {.stream = stream}, values, sum, count);
    return cudaSuccess;
  }
};

}  // namespace cub
