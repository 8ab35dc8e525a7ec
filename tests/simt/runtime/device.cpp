// The devices, their attributes, and the names of errors.
#include <cstdio>

#include "simt/runtime/state.hpp"

using namespace simt::runtime;

extern "C" {

cudaError_t cudaGetDeviceCount(int* count) {
  auto guard = lock();
  *count = state().model.count;
  return done(*count == 0 ? state().model.absent : cudaSuccess);
}

cudaError_t cudaGetDevice(int* device) {
  auto guard = lock();
  if (state().model.count == 0) return done(state().model.absent);
  *device = current_device;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  auto guard = lock();
  if (state().model.count == 0) return done(state().model.absent);
  if (device < 0 || device >= state().model.count) return done(cudaErrorInvalidDevice);
  if (const cudaError_t error = state().sticky) return done(error);
  current_device = device;
  use_context();
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  auto guard = lock();
  const DeviceModel& model = state().model;
  if (model.count == 0) return done(model.absent);
  if (device < 0 || device >= model.count) return done(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = model.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = model.minor; break;
    case cudaDevAttrMultiProcessorCount: *value = model.multiprocessors; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = shared_bytes_without_opt_in; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = shared_bytes_per_block; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = shared_bytes_per_multiprocessor; break;
    case cudaDevAttrReservedSharedMemoryPerBlock: *value = reserved_shared_bytes; break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: *value = registers_per_multiprocessor; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = max_threads_per_block; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = threads_per_multiprocessor; break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = blocks_per_multiprocessor; break;
    case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrL2CacheSize: *value = l2_bytes; break;
    case cudaDevAttrMemoryClockRate: *value = 2619000; break;  // kHz, of an H100
    case cudaDevAttrGlobalMemoryBusWidth: *value = 5120; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrCooperativeLaunch: *value = 1; break;
    case cudaDevAttrClusterLaunch: *value = model.major >= 9; break;
    case cudaDevAttrMemoryPoolsSupported: *value = 1; break;
    case cudaDevAttrUnifiedAddressing: *value = 1; break;
    case cudaDevAttrConcurrentKernels: *value = 1; break;
    default: return done(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  auto guard = lock();
  const DeviceModel& model = state().model;
  if (model.count == 0) return done(model.absent);
  if (device < 0 || device >= model.count) return done(cudaErrorInvalidDevice);
  *properties = {};
  std::snprintf(properties->name, sizeof properties->name, "SIMT executor on the CPU");
  properties->totalGlobalMem = model.memory;
  properties->major = model.major;
  properties->minor = model.minor;
  properties->multiProcessorCount = model.multiprocessors;
  properties->sharedMemPerBlock = std::size_t(shared_bytes_without_opt_in);
  properties->sharedMemPerBlockOptin = std::size_t(shared_bytes_per_block);
  properties->sharedMemPerMultiprocessor = std::size_t(shared_bytes_per_multiprocessor);
  properties->regsPerBlock = properties->regsPerMultiprocessor = registers_per_multiprocessor;
  properties->maxThreadsPerBlock = max_threads_per_block;
  properties->maxThreadsPerMultiProcessor = threads_per_multiprocessor;
  properties->warpSize = 32;
  properties->l2CacheSize = l2_bytes;
  properties->clusterLaunch = model.major >= 9;
  properties->cooperativeLaunch = 1;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int* version) {
  auto guard = lock();
  *version = state().model.count == 0 ? 0 : CUDART_VERSION;  // 0: no driver
  return cudaSuccess;
}

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define SIMT_NAME(name) \
  case name: return #name
    SIMT_NAME(cudaSuccess);
    SIMT_NAME(cudaErrorInvalidValue);
    SIMT_NAME(cudaErrorMemoryAllocation);
    SIMT_NAME(cudaErrorInitializationError);
    SIMT_NAME(cudaErrorInvalidConfiguration);
    SIMT_NAME(cudaErrorInsufficientDriver);
    SIMT_NAME(cudaErrorInvalidDeviceFunction);
    SIMT_NAME(cudaErrorNoDevice);
    SIMT_NAME(cudaErrorInvalidDevice);
    SIMT_NAME(cudaErrorInvalidResourceHandle);
    SIMT_NAME(cudaErrorIllegalState);
    SIMT_NAME(cudaErrorNotReady);
    SIMT_NAME(cudaErrorLaunchFailure);
    SIMT_NAME(cudaErrorCooperativeLaunchTooLarge);
    SIMT_NAME(cudaErrorNotSupported);
    SIMT_NAME(cudaErrorStreamCaptureUnsupported);
    SIMT_NAME(cudaErrorStreamCaptureInvalidated);
    SIMT_NAME(cudaErrorStreamCaptureMerge);
    SIMT_NAME(cudaErrorStreamCaptureUnmatched);
    SIMT_NAME(cudaErrorStreamCaptureUnjoined);
    SIMT_NAME(cudaErrorStreamCaptureIsolation);
    SIMT_NAME(cudaErrorStreamCaptureImplicit);
    SIMT_NAME(cudaErrorStreamCaptureWrongThread);
    SIMT_NAME(cudaErrorCapturedEvent);
    SIMT_NAME(cudaErrorInvalidClusterSize);
    SIMT_NAME(cudaErrorGraphExecUpdateFailure);
#undef SIMT_NAME
    default: return "cudaError";
  }
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    default: return cudaGetErrorName(error);
  }
}
}
