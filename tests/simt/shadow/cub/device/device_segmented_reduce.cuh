// The one CUB function of this header that the library calls, as a kernel of one thread per segment.
#pragma once

#include "cub/device/device_reduce.cuh"

namespace cub {

namespace detail {

template <class Values, class Offsets>
__global__ void segment_sums_kernel(Values values, float* sums, std::int64_t segments, Offsets begin,
                                    Offsets end) {
  const std::int64_t segment = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (segment >= segments) return;
  float total = 0;
  for (std::int64_t k = begin[segment]; k < end[segment]; ++k) total += values[k];
  sums[segment] = total;
}

}  // namespace detail

struct DeviceSegmentedReduce {
  template <class Values, class Offsets>
  static cudaError_t Sum(void* workspace, std::size_t& bytes, Values values, float* sums,
                         std::int64_t segments, Offsets begin, Offsets end, cudaStream_t stream) {
    cudaError_t error;
    if (detail::only_asks(workspace, bytes, error)) return error;
    const unsigned threads = 64;
    plasticity::launch(detail::segment_sums_kernel<Values, Offsets>,
                       {.grid = static_cast<unsigned>((segments + threads - 1) / threads),
                        .block = threads,
                        .stream = stream},
                       values, sums, segments, begin, end);
    return cudaSuccess;
  }
};

}  // namespace cub
