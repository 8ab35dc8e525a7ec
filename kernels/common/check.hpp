// CUDA's error codes become plasticity::Error. For host code and launchers alike.
#pragma once

#include <cuda_runtime_api.h>

#include <source_location>
#include <string>

#include "plasticity/error.hpp"

namespace plasticity {

/// The library's code for a CUDA error: out_of_memory, or unsupported for a launch or argument that the
/// device rejects. All others (no device, an old driver, a fault in a kernel) are device_unavailable.
inline ErrorCode error_code(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return ErrorCode::out_of_memory;
    case cudaErrorInvalidValue:
    case cudaErrorInvalidConfiguration:
    case cudaErrorLaunchOutOfResources:
    case cudaErrorCooperativeLaunchTooLarge:
    case cudaErrorInvalidClusterSize:
    case cudaErrorNotSupported: return ErrorCode::unsupported;
    default: return ErrorCode::device_unavailable;
  }
}

/// Throws Error if `error` is not cudaSuccess, and clears CUDA's last error, which the failed call has set.
/// After a success the last error is not touched: it may be an earlier error of the caller.
inline void check(cudaError_t error, const std::string& what = {},
                  std::source_location where = std::source_location::current()) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw Error(error_code(error), std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                                     (what.empty() ? "CUDA call" : what) + ": expected cudaSuccess, got " +
                                     cudaGetErrorName(error) + " (" + cudaGetErrorString(error) + ")");
}

}  // namespace plasticity
