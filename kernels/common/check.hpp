// CUDA's error codes become plasticity::Error. For host code and launchers alike.
#pragma once

#include <cuda_runtime_api.h>

#include <source_location>
#include <string>

#include "plasticity/error.hpp"

namespace plasticity {

/// The library's code for a CUDA error: no memory; a launch or argument that this device does not take; or,
/// for all else, that the device cannot be used (there is none, its driver is too old, a kernel faulted on
/// it).
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

/// Throws if `error` is one. CUDA's "last error", which the failed call has set, is cleared again: the
/// exception is the report. After a success it is left alone, since what it may hold is the caller's own.
inline void check(cudaError_t error, const std::string& what = {},
                  std::source_location where = std::source_location::current()) {
  if (error == cudaSuccess) return;
  cudaGetLastError();
  throw Error(error_code(error), std::string(where.file_name()) + ":" + std::to_string(where.line()) + ": " +
                                     (what.empty() ? "CUDA call" : what) + ": expected cudaSuccess, got " +
                                     cudaGetErrorName(error) + " (" + cudaGetErrorString(error) + ")");
}

}  // namespace plasticity
