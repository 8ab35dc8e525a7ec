// The calls of CUDA's driver on contexts. The context of device d is the address d + 1.
#include <cuda.h>

#include <cstring>

#include "simt/runtime/state.hpp"

using namespace simt::runtime;

namespace {

CUresult get_device(CUdevice* device, int ordinal) {
  *device = ordinal;
  return CUDA_SUCCESS;
}

CUresult get_state(CUdevice device, unsigned* flags, int* active) {
  auto guard = lock();
  *flags = 0;
  *active = state().contexts.contains(device);
  return CUDA_SUCCESS;
}

CUresult get_context(CUcontext* context) {
  *context = reinterpret_cast<CUcontext>(has_context ? std::uintptr_t(current_device) + 1 : 0);
  return CUDA_SUCCESS;
}

CUresult set_context(CUcontext context) {
  auto guard = lock();
  has_context = context != nullptr;
  if (has_context) current_device = int(reinterpret_cast<std::uintptr_t>(context)) - 1;
  if (!has_context && state().unbinding_resets_device) current_device = 0;
  return CUDA_SUCCESS;
}

template <class Function>
bool named(const char* symbol, const char* name, Function* function, void** address) {
  if (std::strcmp(symbol, name) != 0) return false;
  std::memcpy(address, &function, sizeof(function));
  return true;
}

}  // namespace

extern "C" cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned,
                                                        unsigned long long,
                                                        cudaDriverEntryPointQueryResult* result) {
  const bool found = named(symbol, "cuDeviceGet", get_device, function) ||
                     named(symbol, "cuDevicePrimaryCtxGetState", get_state, function) ||
                     named(symbol, "cuCtxGetCurrent", get_context, function) ||
                     named(symbol, "cuCtxSetCurrent", set_context, function);
  *result = found ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}
