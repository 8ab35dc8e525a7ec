#pragma once

#include <cstdint>
#include <string>

#include "common/check.hpp"

namespace plasticity::cuda {

/// Makes a device the thread's current one, for a scope.
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

/// Throws Error(device_unavailable) where CUDA's last error of this thread is one of the program's own: CUB
/// looks at it after a launch and would take it for its own.
void refuse_earlier_error();

/// Throws Error(invalid_argument) that names `group`.`name` unless the pointer is null or memory of that
/// device (or managed memory).
void check_device_pointer(int index, const char* group, const std::string& name, const void* pointer);

}  // namespace plasticity::cuda
