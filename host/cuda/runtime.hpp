#pragma once

#include <cstdint>
#include <string>

#include "common/check.hpp"

namespace plasticity::cuda {

/// Makes a device the thread's current device for a scope.
class CurrentDevice {
 public:
  explicit CurrentDevice(int index) {
    check(cudaGetDevice(&before_), "the current CUDA device");
    if (before_ == index) return;
    check(cudaSetDevice(index), "CUDA device " + std::to_string(index));
    changed_ = true;
  }
  ~CurrentDevice() {
    if (changed_ && cudaSetDevice(before_) != cudaSuccess) cudaGetLastError();
  }
  CurrentDevice(const CurrentDevice&) = delete;
  CurrentDevice& operator=(const CurrentDevice&) = delete;

 private:
  int before_ = 0;
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
