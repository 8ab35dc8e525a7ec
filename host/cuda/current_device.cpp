// Since CUDA 12 cudaSetDevice() creates the device's context, about 0.5 GB on a GPU. A thread that has not
// used its current device must not get a context there when CurrentDevice ends.
#include <cuda.h>

#include <cstring>

#include "cuda/runtime.hpp"

namespace plasticity::cuda {
namespace {

/// The calls of the driver that CUDA's runtime does not have. Null if the driver lacks one.
struct Driver {
  decltype(&cuDeviceGet) get_device = nullptr;
  decltype(&cuDevicePrimaryCtxGetState) get_state = nullptr;
  decltype(&cuCtxGetCurrent) get_context = nullptr;
  decltype(&cuCtxSetCurrent) set_context = nullptr;
};

template <class Function>
bool find(Function& function, const char* symbol) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050  // the other function is deprecated
  const cudaError_t error =
      cudaGetDriverEntryPointByVersion(symbol, &address, 12000, cudaEnableDefault, &result);
#else
  const cudaError_t error = cudaGetDriverEntryPoint(symbol, &address, cudaEnableDefault, &result);
#endif
  if (error != cudaSuccess) cudaGetLastError();
  if (error != cudaSuccess || result != cudaDriverEntryPointSuccess) return false;
  std::memcpy(&function, &address, sizeof(address));
  return address != nullptr;
}

/// Null if the driver lacks one of the calls.
const Driver* driver() {
  static const Driver* const loaded = []() -> const Driver* {
    static Driver calls;
    const bool complete =
        find(calls.get_device, "cuDeviceGet") && find(calls.get_state, "cuDevicePrimaryCtxGetState") &&
        find(calls.get_context, "cuCtxGetCurrent") && find(calls.set_context, "cuCtxSetCurrent");
    return complete ? &calls : nullptr;
  }();
  return loaded;
}

bool has_context(int index) {
  CUdevice device = 0;
  unsigned flags = 0;
  int active = 1;
  return driver()->get_device(&device, index) != CUDA_SUCCESS ||
         driver()->get_state(device, &flags, &active) != CUDA_SUCCESS || active != 0;
}

}  // namespace

CurrentDevice::CurrentDevice(int index) {
  check(cudaGetDevice(&before_), "the current CUDA device");
  if (before_ == index) return;
  check(enter(index), "CUDA device " + std::to_string(index));
}

CurrentDevice::CurrentDevice(int index, std::nothrow_t) noexcept {
  if (cudaGetDevice(&before_) == cudaSuccess && (before_ == index || enter(index) == cudaSuccess)) return;
  cudaGetLastError();
}

cudaError_t CurrentDevice::enter(int index) {
  if (driver() != nullptr && driver()->get_context(&context_) != CUDA_SUCCESS) context_ = nullptr;
  const cudaError_t error = cudaSetDevice(index);
  changed_ = error == cudaSuccess;
  return error;
}

// Without a context of the device, the thread gets back the context that it had, or none. CUDA documents
// cuCtxSetCurrent(), and that a runtime call without a current context selects a device. It does not document
// which: cudaGetDevice() may then return the device before or `index`. No GPU has been asked.
CurrentDevice::~CurrentDevice() {
  if (!changed_) return;
  if (driver() != nullptr && !has_context(before_)) {
    driver()->set_context(context_);
  } else if (cudaSetDevice(before_) != cudaSuccess) {
    cudaGetLastError();
  }
}

}  // namespace plasticity::cuda
