#pragma once

#include <cstdint>
#include <new>
#include <string>

#include "common/check.hpp"

struct CUctx_st;  // *CUcontext, without the header of the driver

namespace plasticity::cuda {

/// Makes a device the thread's current device for a scope. Creates no context on the device before.
class CurrentDevice {
 public:
  explicit CurrentDevice(int index);
  /// Ignores errors. For destructors.
  CurrentDevice(int index, std::nothrow_t) noexcept;
  ~CurrentDevice();
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  cudaError_t enter(int index);

  int before_ = 0;
  CUctx_st* context_ = nullptr;  // the thread's before
  bool changed_ = false;
};

/// Throws Error(unsupported) that names `argument` if a launch would have more blocks than CUDA permits.
void check_blocks(const char* argument, std::int64_t blocks);

/// Throws Error(device_unavailable) if the thread's last CUDA error is set, by an earlier call of the
/// program. cuBLAS checks the last error after its launches and would report that error as its own.
void check_no_earlier_error();

/// Throws Error(invalid_argument) that names `group`.`name` unless the pointer is null, memory of that
/// device, or managed memory.
void check_device_pointer(int index, const char* group, const std::string& name, const void* pointer);

}  // namespace plasticity::cuda
